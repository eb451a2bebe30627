"""Executes a job of our own once before the fork, so that a run's first steps import and compile nothing."""

from functools import cache
from typing import TYPE_CHECKING

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import Event

from isthmus_code_server.definitions.dagster.executed.execution import DagsterRunExecution
from isthmus_code_server.definitions.dagster.executed.executor import with_own_executor
from isthmus_code_server.definitions.dagster.executed.request import resolve
from isthmus_code_server.definitions.dagster.executed.step_site import StepSite
from isthmus_code_server.definitions.port import RunPlace

if TYPE_CHECKING:
    from dagster import JobDefinition

    from isthmus_code_server.definitions.dagster.asked.instance import RunInstance

#: Dagster's console logger writes to stderr, which is the server's at this time.
_QUIET = '{"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}'


def warm_up(run_instance: "RunInstance") -> None:
    """Execute a job with one empty op, as runs are executed; none of the user's code takes part, and nobody is asked anything."""
    site = StepSite()
    job = with_own_executor(_empty_job(), site=site)
    request = RunRequest(job_name=job.name, run_config_json=_QUIET)
    request.run.run_id = "warm-up"
    execution = DagsterRunExecution(resolve(request, jobs={job.name: job}), run_instance=run_instance, site=site)
    execution.execute(_drop, place=RunPlace())


@cache
def _empty_job() -> "JobDefinition":
    from dagster import Nothing, Out, in_process_executor, job, op

    @op(out=Out(Nothing))  # type: ignore[arg-type, unused-ignore]  # Dagster's marker types are not types
    def isthmus_empty_op() -> None:
        """Do nothing."""

    @job(executor_def=in_process_executor)
    def isthmus_warm_up() -> None:
        isthmus_empty_op()

    return isthmus_warm_up


def _drop(event: Event) -> None:
    """Let an event of the warm-up go."""
