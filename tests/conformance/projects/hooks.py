"""Jobs with hooks."""

import dagster as dg
from dagster._core.definitions.decorators.hook_decorator import event_list_hook
from dagster._core.definitions.events import HookExecutionResult  # where every Dagster has it


@dg.op
def give() -> int:
    return 1


@dg.op
def fails(number: int) -> int:
    raise ValueError("no good")


@dg.op
def behind(number: int) -> int:
    return number


@dg.success_hook
def on_success(context: dg.HookContext):
    context.log.info(f"{context.op.name} succeeded")


@dg.failure_hook
def on_failure(context: dg.HookContext):
    context.log.warning(f"{context.op.name} failed")


@dg.job(hooks={on_success, on_failure})
def succeeding():
    behind(give())


@dg.job(hooks={on_success, on_failure})
def failing():
    behind(fails(give()))


@dg.job
def of_op():
    behind(give.with_hooks({on_success})())


@dg.success_hook(name="breaks")
def breaking(context):
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise RuntimeError("the hook breaks") from error


@dg.job(hooks={breaking, on_success})
def raising():
    behind(give())


@dg.success_hook(name="teller", required_resource_keys={"word"})
def tells(context: dg.HookContext):
    context.log.info(
        f"{context.hook_def.name} {context.step_key} {context.job_name} {context.op_output_values} {context.resources.word}"
    )


@dg.failure_hook(name="failure_teller")
def tells_failure(context: dg.HookContext):
    context.log.info(f"{type(context.op_exception).__name__}: {context.op_exception}")


@dg.job(hooks={tells})
def telling():
    behind(give())


@dg.job(hooks={tells_failure})
def telling_of_failure():
    fails(give())


@event_list_hook(name="lists")
def lists(context, event_list):
    context.log.info(f"{[event.event_type_value for event in event_list]}")
    return HookExecutionResult(hook_name="lists", is_skipped=False)


@dg.job(hooks={lists})
def listing():
    behind(give())


@dg.op(out=dg.Out(int, is_required=False))
def maybe():
    yield from ()


@dg.job(hooks={on_success, on_failure})
def skipping():
    behind(maybe())


@dg.job(name="with_hooks")
def plain():
    give()


with_hooks = plain.with_hooks({on_success})


@dg.op(out=dg.DynamicOut(int))
def split():
    yield dg.DynamicOutput(1, "a")
    yield dg.DynamicOutput(2, "b")


@dg.job(hooks={on_success})
def dynamic():
    split().map(behind)


defs = dg.Definitions(
    jobs=[succeeding, failing, of_op, raising, telling, telling_of_failure, listing, skipping, with_hooks, dynamic],
    resources={"word": dg.ResourceDefinition.hardcoded_resource("word")},
    executor=dg.in_process_executor,
)
