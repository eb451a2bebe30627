"""Jobs for the executor that gives each step a process of its own."""

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path

import dagster as dg

FOLDER = Path(os.environ["CONFORMANCE_SCRATCH"])


@dg.op
def give() -> int:
    return os.getpid()


@dg.op
def is_another(context: dg.OpExecutionContext, pid: int) -> int:
    context.add_output_metadata({"is_another_process": pid != os.getpid()})
    return os.getpid()


@dg.op
def tells_count(context: dg.OpExecutionContext, pids: list[int]) -> int:
    context.add_output_metadata({"processes": len(set(pids))})
    return 1


@dg.job
def chain():
    is_another.alias("third")(is_another.alias("second")(give()))


@dg.job
def branches():
    first = give()
    tells_count([first, is_another.alias("left")(first), is_another.alias("right")(first)])


def _change(context, by):
    """Count who is inside, over all processes of the run, and return how many there are now."""
    path = FOLDER / f"{context.run_id}.count"
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        now, most = (int(word) for word in (file.read() or "0 0").split())
        now += by
        file.truncate(0)
        file.write(f"{now} {max(now, most)}")
        return max(now, most)


@dg.op(tags={"of": "crowd"})
def stays(context: dg.OpExecutionContext) -> int:
    _change(context, 1)
    time.sleep(0.3)
    return _change(context, -1)


@dg.op
def tells_most(context: dg.OpExecutionContext, most: list[int]) -> None:
    limit = 1 if "tag_concurrency_limits" in str(context.run.run_config) else 2
    context.add_output_metadata({f"never more than {limit}": max(most) <= limit})


@dg.job
def crowd():
    tells_most([stays.alias(f"stays_{number}")() for number in range(4)])


@dg.op
def behind(pid: int) -> int:
    return pid


def failing_job(fn):
    """Make a job with a branch whose step runs this function, and a branch that goes on."""

    @dg.op(name=f"{fn.__name__}_op")
    def _op(pid: int) -> int:
        fn()
        return pid

    @dg.job(name=fn.__name__)
    def _job():
        behind.alias("behind_failure")(_op(give.alias("first")()))
        behind.alias("goes_on")(give.alias("other")())

    return _job


class _HoldsLockError(Exception):
    def __init__(self, lock):
        super().__init__("holds a lock")
        self.lock = lock


@failing_job
def failing():
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


@failing_job
def unpicklable():
    raise _HoldsLockError(threading.Lock())


@failing_job
def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@failing_job
def exiting():
    os._exit(3)


@failing_job
def sys_exiting():
    sys.exit(4)


@dg.op
def asks_again(context: dg.OpExecutionContext) -> int:
    context.log.info(f"try {context.retry_number}")
    if context.retry_number < 2:
        raise dg.RetryRequested(max_retries=2) from ValueError("not yet")
    return 1


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def never() -> int:
    raise ValueError("never")


@dg.job
def retried():
    behind(asks_again())
    never()


@dg.job
def not_retried():
    behind(asks_again())


@dg.op(out=dg.DynamicOut(int))
def split():
    yield dg.DynamicOutput(1, "a")
    yield dg.DynamicOutput(2, "b")


@dg.op
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dg.job
def dynamic():
    total(split().map(behind).collect())


@dg.op(out={"even": dg.Out(is_required=False), "odd": dg.Out(is_required=False)})
def branch():
    yield dg.Output(2, "even")


@dg.job
def branching():
    even, odd = branch()
    behind.alias("taken")(even)
    behind.alias("not_taken")(odd)


@dg.success_hook
def on_success(context):
    context.log.info(f"{context.op.name} succeeded")


@dg.failure_hook
def on_failure(context):
    context.log.info(f"{context.op.name} failed")


@dg.job(hooks={on_success, on_failure})
def hooked():
    give()
    never()


@dg.resource
def thing(context):
    context.log.info("made")
    yield "thing"
    context.log.info("torn down")


@dg.resource
def bad_thing():
    raise OSError("cannot connect")


@dg.op(required_resource_keys={"thing"})
def uses_thing(context):
    context.log.info(f"{context.resources.thing}")


@dg.job(resource_defs={"thing": thing})
def with_resource():
    uses_thing.alias("first")()
    uses_thing.alias("second")()


@dg.job(resource_defs={"thing": bad_thing})
def with_bad_resource():
    uses_thing()
    give()


@dg.job(resource_defs={"io_manager": dg.mem_io_manager})
def in_memory():
    behind(give())


@dg.asset
def orders():
    return 5


@dg.asset
def totals(orders):
    return orders * 2


@dg.asset_check(asset=orders, blocking=True)
def is_there(orders):
    return dg.AssetCheckResult(passed=orders > 0, metadata={"rows": orders})


@dg.job(executor_def=dg.multiprocess_executor.configured({"max_concurrent": 1}))
def chosen():
    is_another(give())


defs = dg.Definitions(
    assets=[orders, totals],
    asset_checks=[is_there],
    jobs=[
        chain,
        branches,
        crowd,
        failing,
        unpicklable,
        killed,
        exiting,
        sys_exiting,
        retried,
        dynamic,
        branching,
        hooked,
        with_resource,
        with_bad_resource,
        in_memory,
        not_retried,
        chosen,
        dg.define_asset_job("assets", dg.AssetSelection.all()),
    ],
)
