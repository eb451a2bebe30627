"""Jobs with tags and pools."""

import dagster as dg


@dg.op
def says_tags(context: dg.OpExecutionContext):
    tags = {key: value for key, value in context.run.tags.items() if not key.startswith(".dagster/")}
    context.log.info(f"{sorted(tags.items())}")
    context.log.info(f"{context.has_tag('team')} {context.get_tag('team')} {context.get_tag('none')}")


@dg.job(tags={"team": "core", "size": "3"})
def tagged():
    says_tags()


@dg.job(tags={"of": "job"}, run_tags={"of": "run"})
def tagged_apart():
    says_tags()


@dg.op(tags={"of": "op", "nested": {"a": [1]}})
def has_tags(context: dg.OpExecutionContext):
    context.log.info(f"{sorted(context.op_def.tags.items())} {sorted(context.op.tags.items())}")


@dg.job
def tagged_ops():
    has_tags()
    has_tags.alias("more").tag({"more": "x"})()


@dg.op
def quiet(): ...


@dg.job
def prioritized():
    for number in range(4):
        quiet.alias(f"quiet_{number}").tag({"dagster/priority": str(number)})()


@dg.op(pool="database")
def uses_pool(): ...


@dg.job
def pooled():
    uses_pool.alias("first")()
    uses_pool.alias("second")()


@dg.asset(pool="database")
def pooled_asset():
    return 1


@dg.asset(pool="other")
def another_pooled(pooled_asset):
    return pooled_asset


@dg.op(tags={"dagster/concurrency_key": "old"})
def uses_key(): ...


@dg.job
def keyed():
    uses_key()


@dg.op
def says_identity(context: dg.OpExecutionContext):
    context.log.info(f"{context.run_id} {context.job_name} {context.run.job_name} {context.run.parent_run_id}")
    context.log.info(f"{context.run.status.value} {context.run_config} {context.op.name} {context.op_handle}")


@dg.job
def identity():
    says_identity()


@dg.op(tags={"kind": "python"}, description="Has a kind.")
def has_kind(): ...


@dg.job
def kinds():
    has_kind()


defs = dg.Definitions(
    assets=[pooled_asset, another_pooled],
    jobs=[tagged, tagged_apart, tagged_ops, prioritized, pooled, keyed, identity, kinds],
    executor=dg.in_process_executor,
)
