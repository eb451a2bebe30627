"""Chooses how a job's steps run: in the run's own process, or each in a process forked off it.

The job's executor keeps its name and its config schema, so that a request is judged as its author wrote it; what is
replaced is the making of the executor. Dagster's multiprocess executor would start an interpreter for each step and
import the project in it once more; ours forks the run's process, in which it is imported already, and keeps all else.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

# Imported before the fork: a run would pay for it otherwise.
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.executor.multiprocess import MultiprocessExecutor

from isthmus_code_server.definitions.dagster.executed.in_process import OwnInProcessExecutor
from isthmus_code_server.definitions.dagster.executed.step_executor import ForkedStepsExecutor
from isthmus_code_server.definitions.dagster.executed.step_site import StepSite

if TYPE_CHECKING:
    from dagster import Executor, ExecutorDefinition, InitExecutorContext, JobDefinition
    from dagster._core.definitions.executor_definition import ExecutorRequirement

#: Where an executor's config may hold its retries, beside its top level.
_NESTED = ("multiprocess", "in_process")


def with_own_executor(job: "JobDefinition", *, site: StepSite) -> "JobDefinition":
    """Return the job with its steps run by us.

    Args:
        job: The job as its author wrote it.
        site: Where the executor finds the run that it executes.
    """
    return job.with_executor_def(_own(job.executor_def, site))


def _own(original: "ExecutorDefinition", site: StepSite) -> "ExecutorDefinition":
    from dagster import ExecutorDefinition

    # A schema that is made already is taken as it is; only the signature does not say so.
    schema: Any = original.config_schema
    return ExecutorDefinition(
        name=original.name,
        config_schema=schema,
        requirements=lambda config: _requirements(config, original=original),
        executor_creation_fn=lambda context: _create(context, original=original, site=site),
        description=original.description,
    )


def _requirements(config: Any, *, original: "ExecutorDefinition") -> list["ExecutorRequirement"]:
    """Return what the job has to have: outputs that travel, where its steps run in processes of their own.

    Dagster's other demands are on how a process finds job and instance again; ours has both.
    """
    from dagster._core.definitions.executor_definition import ExecutorRequirement

    if not _is_of_dagster(original):
        return []
    wanted = ExecutorRequirement.PERSISTENT_OUTPUTS
    return [wanted] if wanted in original.get_requirements(config) else []


def _create(context: "InitExecutorContext", *, original: "ExecutorDefinition", site: StepSite) -> "Executor":
    if not _is_of_dagster(original):
        return OwnInProcessExecutor(InProcessExecutor(retries=_retry_mode(context.executor_config)), site=site)
    create: Any = original.executor_creation_fn
    executor: Executor = create(context)
    if isinstance(executor, InProcessExecutor):
        return OwnInProcessExecutor(executor, site=site)
    return ForkedStepsExecutor(executor, site=site) if isinstance(executor, MultiprocessExecutor) else executor


def _is_of_dagster(original: "ExecutorDefinition") -> bool:
    """Tell whether this is one of Dagster's own executors, configured or not, which need no cluster."""
    from dagster import in_process_executor, multi_or_in_process_executor, multiprocess_executor

    known = (in_process_executor, multi_or_in_process_executor, multiprocess_executor)
    return original.executor_creation_fn in {one.executor_creation_fn for one in known}


def _retry_mode(config: Mapping[str, Any]) -> Any:
    from dagster._core.execution.retries import RetryMode

    retries = _retries(config)
    return (RetryMode.from_config(retries) if retries else None) or RetryMode.ENABLED


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
