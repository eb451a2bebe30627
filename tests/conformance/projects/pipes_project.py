"""Assets that are made by processes of their own."""

import sys

import dagster as dg

PREFIX = "from dagster_pipes import open_dagster_pipes\nimport os, signal, sys\n"


def command(code):
    return [sys.executable, "-c", PREFIX + code]


def piped(name, code, *, check_specs=(), **kwargs):
    """Make an asset of a program."""

    @dg.asset(name=name, check_specs=list(check_specs), **kwargs)
    def _asset(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient):
        return pipes.run(command=command(code), context=context).get_materialize_result()

    return _asset


reported = piped(
    "reported",
    """
with open_dagster_pipes() as pipes:
    pipes.report_asset_materialization(
        metadata={
            "rows": 3,
            "share": 0.5,
            "text": "x",
            "json": {"a": [1]},
            "is_on": True,
            "none": None,
            "url": {"raw_value": "https://example.com", "type": "url"},
            "md": {"raw_value": "*x*", "type": "md"},
            "path": {"raw_value": "/there", "type": "path"},
            "asset": {"raw_value": "a/b", "type": "asset"},
        },
        data_version="v3",
    )
""",
)

reported_checks = piped(
    "reported_checks",
    """
with open_dagster_pipes() as pipes:
    pipes.report_asset_check("good", passed=True, metadata={"n": 1})
    pipes.report_asset_check("bad", passed=False, severity="WARN")
""",
    check_specs=[dg.AssetCheckSpec("good", asset="reported_checks"), dg.AssetCheckSpec("bad", asset="reported_checks")],
)

logged = piped(
    "logged",
    """
with open_dagster_pipes() as pipes:
    pipes.log.debug("debug")
    pipes.log.info("info")
    pipes.log.warning("warning")
    pipes.log.error("error")
    pipes.log.critical("critical")
    print("to stdout")
""",
)

exits = piped("exits", "\nwith open_dagster_pipes() as pipes:\n    pass\nsys.exit(3)\n")
raises = piped("raises", "\nwith open_dagster_pipes() as pipes:\n    raise ValueError('in the process')\n")
killed = piped("killed", "\nwith open_dagster_pipes() as pipes:\n    os.kill(os.getpid(), signal.SIGKILL)\n")
mute = piped("mute", "\nprint('nothing to say')\n")
partitioned = piped(
    "partitioned",
    "\nwith open_dagster_pipes() as pipes:\n    pipes.log.info(f'{pipes.partition_key} {pipes.asset_key}')\n",
    partitions_def=dg.StaticPartitionsDefinition(["a"]),
)


@dg.multi_asset(specs=[dg.AssetSpec("first"), dg.AssetSpec("second")])
def two(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient):
    code = """
with open_dagster_pipes() as pipes:
    pipes.report_asset_materialization(asset_key="first", metadata={"n": 1})
    pipes.report_asset_materialization(asset_key="second")
"""
    yield from pipes.run(command=command(code), context=context).get_results()


@dg.op
def asks(context: dg.OpExecutionContext, pipes: dg.PipesSubprocessClient):
    code = """
with open_dagster_pipes() as pipes:
    pipes.log.info(pipes.run_id)
    pipes.report_custom_message({"double": pipes.get_extra("number") * 2})
"""
    invocation = pipes.run(command=command(code), context=context, extras={"number": 4}, env={"OWN": "x"})
    context.log.info(f"{invocation.get_custom_messages()}")


@dg.job
def talks():
    asks()


defs = dg.Definitions(
    assets=[reported, reported_checks, logged, exits, raises, killed, mute, partitioned, two],
    jobs=[talks],
    resources={"pipes": dg.PipesSubprocessClient()},
    executor=dg.in_process_executor,
)
