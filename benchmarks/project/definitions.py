"""What is measured: the same definitions for Isthmus and for Dagster's own servers."""

import time
from pathlib import Path

from dagster import (
    AssetKey,
    AssetsDefinition,
    Config,
    Definitions,
    OpExecutionContext,
    asset,
    define_asset_job,
    in_process_executor,
    job,
    multiprocess_executor,
    op,
)

WIDTH = 10
ASSETS = 100

#: Dagster's own cure for the cost of a process per step.
forkserver = multiprocess_executor.configured(
    {"start_method": {"forkserver": {"preload_modules": ["dagster"]}}}, name="forkserver"
)


class StampConfig(Config):
    path: str


@op
def stamp(config: StampConfig) -> None:
    """Say when the first line of user code ran."""
    Path(config.path).write_text(repr(time.time()))


@op
def link(context: OpExecutionContext, value: int) -> int:
    context.log.info("link %d", value)
    return value + 1


@op
def first() -> int:
    return 0


@job(executor_def=in_process_executor)
def one_in_process() -> None:
    stamp()


@job
def one() -> None:
    stamp()


def _chain() -> None:
    value = first()
    for number in range(1, WIDTH):
        value = link.alias(f"link_{number}")(value)


chain = job(name="chain")(_chain)
chain_in_process = job(name="chain_in_process", executor_def=in_process_executor)(_chain)
chain_forkserver = job(name="chain_forkserver", executor_def=forkserver)(_chain)


def _table(number: int) -> AssetsDefinition:
    """Ten rows of ten: each asset depends on the one above it."""
    above = [AssetKey(f"table_{number - WIDTH}")] if number >= WIDTH else []

    @asset(name=f"table_{number}", deps=above)
    def table() -> int:
        return number

    return table


defs = Definitions(
    assets=[_table(number) for number in range(ASSETS)],
    jobs=[
        one,
        one_in_process,
        chain,
        chain_in_process,
        chain_forkserver,
        define_asset_job("assets", selection="*"),
        define_asset_job("assets_in_process", selection="*", executor_def=in_process_executor),
        define_asset_job("assets_forkserver", selection="*", executor_def=forkserver),
    ],
)
