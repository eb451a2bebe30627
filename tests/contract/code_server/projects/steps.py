"""Jobs on the default executor: a process for each step."""

# a user's project, not the product

import os
import signal
import tempfile
import time
from pathlib import Path

import dagster as dg

#: Made at import, and removed when the process that made it ends.
SCRATCH = tempfile.TemporaryDirectory(prefix="isthmus-test-scratch-")


@dg.op
def pid(context: dg.OpExecutionContext) -> int:
    context.log.info(f"pid {os.getpid()}")
    return os.getpid()


@dg.op
def compare(context: dg.OpExecutionContext, first: int, second: int) -> None:
    context.log.info(f"different {len({first, second, os.getpid()})}")


@dg.job
def apart() -> None:
    compare(pid.alias("one")(), pid.alias("two")())


@dg.op
def killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@dg.op
def exits() -> int:
    os._exit(7)


@dg.op
def behind(number: int) -> int:
    return number + 1


@dg.op
def begin() -> int:
    return 1


@dg.job
def dying() -> None:
    behind.alias("behind_killed")(killed())
    behind.alias("behind_exits")(exits())
    behind.alias("behind_good")(begin())


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2))
def third_time(context: dg.OpExecutionContext) -> int:
    if context.retry_number == 0:
        raise RuntimeError("raised")
    if context.retry_number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return context.retry_number


@dg.job
def retried() -> None:
    behind(third_time())


@dg.op(out=dg.DynamicOut(int))
def split():
    for number in range(3):
        yield dg.DynamicOutput(number, mapping_key=f"part_{number}")


@dg.op
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dg.job
def dynamic() -> None:
    total(split().map(behind).collect())


@dg.job(resource_defs={"io_manager": dg.mem_io_manager})
def in_memory() -> None:
    behind(begin())


@dg.op
def uses_scratch(context: dg.OpExecutionContext, before: int = 0) -> int:
    context.log.info(f"scratch {Path(SCRATCH.name).is_dir()}")
    return before


@dg.job
def scratching() -> None:
    uses_scratch.alias("second")(uses_scratch.alias("first")())


@dg.op(config_schema={"ready": str})
def sleeps(context: dg.OpExecutionContext) -> None:
    Path(context.op_config["ready"]).write_text(str(os.getpid()))
    time.sleep(60)


@dg.job
def sleeping() -> None:
    sleeps()


defs = dg.Definitions(jobs=[apart, dying, retried, dynamic, in_memory, scratching, sleeping])
