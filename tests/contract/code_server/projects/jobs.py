"""Op jobs of every shape that the adapter has to tell of."""

# a user's project, not the product

from pathlib import Path

import dagster as dg

#: Counts the tries of the op that fails at first, within one process.
TRIES = {"flaky": 0, "policy": 0}


@dg.op
def one() -> int:
    return 1


@dg.op(tags={"kind": "sum"}, description="Adds one.")
def add_one(number: int) -> int:
    return number + 1


@dg.job(description="The smallest job.", tags={"team": "core"})
def smallest() -> None:
    one()


@dg.op(config_schema={"limit": int, "name": dg.Field(str, is_required=False, default_value="x")})
def limited(context: dg.OpExecutionContext) -> int:
    return context.op_config["limit"]


@dg.job
def configured() -> None:
    limited.alias("load")()
    limited.alias("other")()


@dg.graph
def inner(number: int) -> int:
    return add_one(number)


@dg.graph
def outer(number: int) -> int:
    return inner(add_one(number))


@dg.job
def nested() -> None:
    add_one.alias("last")(outer(one()))


@dg.op(out=dg.DynamicOut(int))
def split():
    for number in range(3):
        yield dg.DynamicOutput(number, mapping_key=f"part_{number}")


@dg.op
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dg.job
def dynamic() -> None:
    total(split().map(add_one).collect())


@dg.op
def flaky() -> int:
    TRIES["flaky"] += 1
    if TRIES["flaky"] % 3:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=0) from ValueError("not yet")
    return 1


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def by_policy() -> None:
    TRIES["policy"] += 1
    if TRIES["policy"] % 2:
        raise RuntimeError("first try")


@dg.job
def retried() -> None:
    flaky()
    by_policy()


def _raise_with_cause() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise ValueError("outer") from error


@dg.op
def raises_with_cause() -> None:
    _raise_with_cause()


@dg.op
def never() -> int:
    _raise_with_cause()
    return 1


@dg.job
def failing() -> None:
    add_one(one())
    add_one.alias("skipped")(number=never())


@dg.op
def fails_with_metadata() -> None:
    raise dg.Failure("too few rows", metadata={"rows": 3, "where": dg.MetadataValue.url("https://example.com")})


@dg.job
def failing_with_metadata() -> None:
    fails_with_metadata()


@dg.success_hook
def on_success(context: dg.HookContext) -> None:
    context.log.info("hook says hello")


@dg.failure_hook
def on_failure(context: dg.HookContext) -> None:
    raise RuntimeError("the hook itself fails")


@dg.job(hooks={on_success, on_failure})
def hooked() -> None:
    one()


@dg.job(hooks={on_success, on_failure})
def hooked_failing() -> None:
    raises_with_cause()


@dg.op
def logs(context: dg.OpExecutionContext) -> None:
    context.log.debug("fine")
    context.log.warning("careful")
    context.log.error("wrong")


@dg.job
def logging_job() -> None:
    logs()


class Store(dg.ConfigurableResource):
    folder: str = "here"
    password: str = "swordfish"


@dg.op
def uses_store(store: Store) -> str:
    return store.folder


@dg.resource
def bad_resource(_) -> None:
    raise OSError("cannot connect")


@dg.job(resource_defs={"store": Store()})
def with_resource() -> None:
    uses_store()


@dg.op(required_resource_keys={"bad"})
def uses_bad() -> None: ...


@dg.job(resource_defs={"bad": bad_resource})
def with_bad_resource() -> None:
    uses_bad()


@dg.op
def asks_the_instance(context: dg.OpExecutionContext) -> None:
    context.instance.get_runs()


@dg.job
def asking() -> None:
    asks_the_instance()


@dg.op
def expects():
    yield dg.ExpectationResult(success=False, label="positive", description="is it?", metadata={"n": 1})
    yield dg.Output(1)


@dg.job
def expecting() -> None:
    expects()


@dg.op(out={"a": dg.Out(is_required=False), "b": dg.Out(is_required=False)})
def branch():
    yield dg.Output(1, "a")


@dg.job
def branching() -> None:
    a, b = branch()
    add_one.alias("taken")(a)
    add_one.alias("not_taken")(b)


@dg.static_partitioned_config(partition_keys=["x", "y"])
def by_letter(partition_key: str):
    return {"ops": {"limited": {"config": {"limit": ord(partition_key)}}}}


@dg.job(config=by_letter)
def partitioned_by_config() -> None:
    limited()


@dg.job(executor_def=dg.multiprocess_executor.configured({"max_concurrent": 2, "retries": {"disabled": {}}}))
def without_retries() -> None:
    by_policy()


@dg.op
def writes_to_both() -> None:
    import sys

    print("to stdout")
    print("to stderr", file=sys.stderr)


@dg.job
def printing() -> None:
    writes_to_both()


@dg.op(config_schema={"ready": str, "seconds": float})
def sleeps(context: dg.OpExecutionContext) -> None:
    import time

    Path(context.op_config["ready"]).touch()
    deadline = time.monotonic() + context.op_config["seconds"]
    while time.monotonic() < deadline:
        time.sleep(0.05)


@dg.job
def sleeping() -> None:
    sleeps()


@dg.op(config_schema={"ready": str})
def stubborn(context: dg.OpExecutionContext) -> None:
    import signal
    import subprocess

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    Path(context.op_config["ready"]).write_text(str(child.pid))
    while True:
        signal.pause()


@dg.job
def stubborn_job() -> None:
    stubborn()


@dg.op
def exits() -> None:
    import os

    os._exit(7)


@dg.job
def exiting() -> None:
    exits()


@dg.schedule(cron_schedule="0 3 * * *", job=configured, execution_timezone="Europe/Berlin", description="Nightly.")
def nightly(context: dg.ScheduleEvaluationContext):
    day = context.scheduled_execution_time.strftime("%Y-%m-%d")
    return dg.RunRequest(run_key=day, run_config={"ops": {"load": {"config": {"limit": 3}}}}, tags={"day": day})


@dg.schedule(cron_schedule="@daily", job=smallest)
def skipping():
    return dg.SkipReason("nothing to do")


@dg.schedule(cron_schedule="@daily", job=smallest)
def broken_schedule():
    raise LookupError("no calendar")


@dg.sensor(job=smallest, minimum_interval_seconds=20)
def files(context: dg.SensorEvaluationContext, store: Store):
    seen = int(context.cursor or 0)
    context.update_cursor(str(seen + 1))
    return dg.RunRequest(run_key=f"{store.folder}-{seen}", tags={"last": context.last_run_key or ""})


@dg.sensor(job=smallest)
def idle():
    return dg.SkipReason("no files")


# A process for all steps: some ops count their tries in it. What the default executor does has a project of its own.
defs = dg.Definitions(
    executor=dg.in_process_executor,
    jobs=[
        smallest,
        configured,
        nested,
        dynamic,
        retried,
        failing,
        failing_with_metadata,
        hooked,
        hooked_failing,
        logging_job,
        with_resource,
        with_bad_resource,
        asking,
        expecting,
        branching,
        partitioned_by_config,
        without_retries,
        printing,
        sleeping,
        stubborn_job,
        exiting,
    ],
    schedules=[nightly, skipping, broken_schedule],
    sensors=[files, idle],
    resources={"store": Store()},
)
