"""Ops that need more than one try."""

import dagster as dg


@dg.op
def asks_twice(context: dg.OpExecutionContext) -> int:
    context.log.info(f"try {context.retry_number}")
    if context.retry_number < 2:
        raise dg.RetryRequested(max_retries=3)
    return 1


@dg.job
def requested():
    asks_twice()


@dg.op
def asks_with_cause(context: dg.OpExecutionContext) -> int:
    if context.retry_number < 1:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise dg.RetryRequested(max_retries=1) from error
    return 1


@dg.job
def requested_with_cause():
    asks_with_cause()


@dg.op
def asks_for_ever() -> int:
    raise dg.RetryRequested(max_retries=2) from ValueError("still not")


@dg.op
def behind(number: int) -> int:
    return number


@dg.job
def requested_in_vain():
    behind(asks_for_ever())


@dg.op
def asks_for_time(context: dg.OpExecutionContext) -> int:
    if context.retry_number < 1:
        raise dg.RetryRequested(max_retries=1, seconds_to_wait=0.05)
    return 1


@dg.job
def requested_with_wait():
    asks_for_time()


def _fails_at_first(context):
    if context.retry_number < 1:
        raise ValueError("at first")
    return 1


@dg.op(retry_policy=dg.RetryPolicy(max_retries=2))
def has_policy(context: dg.OpExecutionContext) -> int:
    return _fails_at_first(context)


@dg.op
def has_none(context: dg.OpExecutionContext) -> int:
    return _fails_at_first(context)


@dg.job
def by_policy():
    has_policy()


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def never_works() -> int:
    raise ValueError("never")


@dg.job
def by_policy_in_vain():
    behind(never_works())


@dg.op(retry_policy=dg.RetryPolicy(max_retries=3, delay=0.02, backoff=dg.Backoff.EXPONENTIAL))
def waits_longer(context: dg.OpExecutionContext) -> int:
    if context.retry_number < 3:
        raise ValueError(f"try {context.retry_number}")
    return 1


@dg.job
def by_policy_with_backoff():
    waits_longer()


@dg.job(op_retry_policy=dg.RetryPolicy(max_retries=1))
def by_job_policy():
    has_none()
    has_policy()


@dg.job
def by_policy_of_use():
    has_none.with_retry_policy(dg.RetryPolicy(max_retries=1))()


@dg.op(retry_policy=dg.RetryPolicy(max_retries=3))
def forbids() -> int:
    raise dg.Failure("no use", metadata={"rows": 0}, allow_retries=False)


@dg.job
def not_allowed():
    forbids()


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1))
def fails_with_metadata(context: dg.OpExecutionContext) -> int:
    raise dg.Failure(f"try {context.retry_number}", metadata={"try": context.retry_number})


@dg.job
def failure_retried():
    fails_with_metadata()


@dg.job
def beside_others():
    behind.alias("behind_retry")(asks_for_time())
    behind.alias("beside")(asks_twice())


@dg.op(out={"first": dg.Out(), "second": dg.Out()})
def gives_then_asks(context: dg.OpExecutionContext):
    yield dg.AssetMaterialization("made", metadata={"try": context.retry_number})
    yield dg.Output(1, "first")
    if context.retry_number == 0:
        raise dg.RetryRequested(max_retries=1)
    yield dg.Output(2, "second")


@dg.job
def after_output():
    gives_then_asks()


@dg.success_hook
def on_success(context):
    context.log.info("succeeded")


@dg.failure_hook
def on_failure(context):
    context.log.info("failed")


@dg.job(hooks={on_success, on_failure})
def hooked():
    has_policy()
    never_works()


defs = dg.Definitions(
    jobs=[
        requested,
        requested_with_cause,
        requested_in_vain,
        requested_with_wait,
        by_policy,
        by_policy_in_vain,
        by_policy_with_backoff,
        by_job_policy,
        by_policy_of_use,
        not_allowed,
        failure_retried,
        beside_others,
        after_output,
        hooked,
    ],
    executor=dg.in_process_executor,
)
