"""The work is done by other processes, which report by Pipes what they made, saw and checked."""

import sys
from pathlib import Path

import dagster as dg

_SCRIPT = str(Path(__file__).parent / "work.py")


@dg.asset(check_specs=[dg.AssetCheckSpec("is_full", asset="rows"), dg.AssetCheckSpec("is_fresh", asset="rows")])
def rows(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> dg.MaterializeResult:
    command = [sys.executable, _SCRIPT]
    return pipes.run(command=command, context=context, extras={"rows": 3}).get_materialize_result()


@dg.op
def messages(context: dg.OpExecutionContext, pipes: dg.PipesSubprocessClient) -> None:
    done = pipes.run(command=[sys.executable, _SCRIPT], context=context, extras={"rows": 2})
    context.log.info(f"messages: {list(done.get_custom_messages())}")


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def parts(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient) -> dg.MaterializeResult:
    return pipes.run(command=[sys.executable, _SCRIPT], context=context, extras={"rows": 1}).get_materialize_result()


@dg.op
def fails(context: dg.OpExecutionContext, pipes: dg.PipesSubprocessClient) -> None:
    pipes.run(command=[sys.executable, _SCRIPT], context=context, extras={"rows": -1})


@dg.op
def dies(context: dg.OpExecutionContext, pipes: dg.PipesSubprocessClient) -> None:
    pipes.run(command=[sys.executable, _SCRIPT], context=context, extras={"rows": -2})


@dg.job
def telling() -> None:
    messages()


@dg.job
def failing() -> None:
    fails()


@dg.job
def dying() -> None:
    dies()


defs = dg.Definitions(
    assets=[rows, parts],
    jobs=[
        dg.define_asset_job("everything", selection=[rows]),
        dg.define_asset_job("part", selection=[parts]),
        telling,
        failing,
        dying,
    ],
    resources={"pipes": dg.PipesSubprocessClient()},
)
