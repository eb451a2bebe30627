"""Runs a job's steps in the run's own process, whatever executor the job names.

The job's executor keeps its name and its config schema, so that a request is judged as its author wrote it; what is
replaced is the making of the executor. An executor that gives each step a process of its own, forked off this one,
belongs here: `_create` would choose it by the original's name.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import Executor, ExecutorDefinition, InitExecutorContext, JobDefinition

#: Where an executor's config may hold its retries, beside its top level.
_NESTED = ("multiprocess", "in_process")


def with_steps_in_process(job: "JobDefinition") -> "JobDefinition":
    """Return the job with its steps run in this process."""
    return job.with_executor_def(_in_process(job.executor_def))


def _in_process(original: "ExecutorDefinition") -> "ExecutorDefinition":
    from dagster import ExecutorDefinition

    # A schema that is made already is taken as it is; only the signature does not say so.
    schema: Any = original.config_schema
    return ExecutorDefinition(
        name=original.name,
        config_schema=schema,
        executor_creation_fn=_create,
        description=original.description,
    )


def _create(context: "InitExecutorContext") -> "Executor":
    from dagster._core.execution.retries import RetryMode
    from dagster._core.executor.in_process import InProcessExecutor

    retries = _retries(context.executor_config)
    mode = RetryMode.from_config(retries) if retries else RetryMode.ENABLED
    return InProcessExecutor(retries=mode or RetryMode.ENABLED)


def _retries(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find what the executor's config says of retries, as in `{"enabled": {}}`."""
    if "retries" in config:
        found: Mapping[str, Any] | None = config["retries"]
        return found
    for name in _NESTED:
        inner = config.get(name)
        if isinstance(inner, Mapping) and "retries" in inner:
            return _retries(inner)
    return None
