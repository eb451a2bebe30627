"""Jobs that wait for the test: a run stands at a gate until the test opens it by making a file."""

import os
import time
from contextlib import suppress
from pathlib import Path

from dagster import Config, Definitions, In, Nothing, OpExecutionContext, Out, asset, in_process_executor, job, op


class Gate(Config):
    path: str
    lines: int = 50


@op(out=Out(Nothing))
def before(context: OpExecutionContext) -> None:
    for number in range(50):
        context.log.info("before %s", number)


@op(ins={"start": In(Nothing)}, out=Out(Nothing))
def stand_at_gate(context: OpExecutionContext, config: Gate) -> None:
    print("standing at the gate", flush=True)
    Path(f"{config.path}.pid").write_text(str(os.getpid()))
    while not Path(config.path).exists():
        time.sleep(0.01)
    for number in range(config.lines):
        context.log.info("after %s", number)


@op(ins={"start": In(Nothing)})
def after() -> int:
    return 1


@job
def gated() -> None:
    after(stand_at_gate(before()))


@op
def stop_the_process() -> None:
    os._exit(3)


@job
def exits() -> None:
    stop_the_process()


class Limit(Config):
    limit: int
    name: str = "x"


@op
def limited(config: Limit) -> int:
    return config.limit


@job
def configured() -> None:
    limited()


@op
def one() -> int:
    return 1


@job
def quick() -> None:
    one()


@asset
def number() -> int:
    return 7


@op
def look_into_the_box() -> None:
    print("looking")
    raise LookupError("there is no chain in the box")


@job
def fails() -> None:
    look_into_the_box()


@op
def cling(config: Gate) -> None:
    """Hear no wish for an end."""
    Path(f"{config.path}.pid").write_text(str(os.getpid()))
    while True:
        with suppress(BaseException):
            while True:
                time.sleep(0.01)


@job(executor_def=in_process_executor)
def clings() -> None:
    cling()


defs = Definitions(jobs=[gated, exits, configured, quick, fails, clings], assets=[number])
