"""Jobs that fail when a tag tells them to."""

import dagster as dg


def fail_if_told(context):
    if context.run.tags.get("fail") == "yes":
        raise ValueError("told to")


@dg.op
def gives() -> int:
    return 1


@dg.op
def fails(context: dg.OpExecutionContext, number: int) -> int:
    fail_if_told(context)
    return number + 1


@dg.op
def behind(context: dg.OpExecutionContext, number: int) -> int:
    context.log.info(f"got {number}")
    return number + 1


@dg.job
def fails_once():
    behind.alias("last")(behind(fails(gives())))


@dg.op
def add(left: int, right: int) -> int:
    return left + right


@dg.job
def branches():
    number = gives()
    add.alias("behind_failure")(fails(number), behind.alias("goes_on")(number))


@dg.op(out=dg.DynamicOut(int))
def split():
    yield dg.DynamicOutput(1, "a")
    yield dg.DynamicOutput(2, "b")


@dg.op
def fails_on_one(context: dg.OpExecutionContext, number: int) -> int:
    if number == 2:
        fail_if_told(context)
    return number


@dg.op
def total(context: dg.OpExecutionContext, numbers: list[int]) -> int:
    context.log.info(f"{sorted(numbers)}")
    return sum(numbers)


@dg.job
def dynamic():
    total(split().map(fails_on_one).collect())


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def retries(context: dg.OpExecutionContext) -> int:
    context.log.info(f"try {context.retry_number}")
    fail_if_told(context)
    return 1


@dg.job
def retried():
    retries()


@dg.asset(name="first")
def first_asset():
    return 1


@dg.asset(name="second")
def second_asset(context: dg.AssetExecutionContext, first):
    fail_if_told(context)
    return first + 1


@dg.asset(name="third")
def third_asset(context: dg.AssetExecutionContext, second):
    context.log.info(f"got {second}")
    return second + 1


defs = dg.Definitions(
    assets=[first_asset, second_asset, third_asset],
    jobs=[fails_once, branches, dynamic, retried],
    executor=dg.in_process_executor,
)
