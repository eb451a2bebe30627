"""The run that this process executes, as user code sees it."""

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from dagster import DagsterRun

if TYPE_CHECKING:
    from dagster import JobDefinition


class _Snapshot:
    """The snapshot of a run's job, made when somebody asks for it: few do, and it takes as long as a small run."""

    def __init__(self, job: "JobDefinition") -> None:
        self._job = job

    @cached_property
    def id(self) -> str:
        return self._job.get_job_snapshot_id()


def own_run(job: "JobDefinition", **facts: Any) -> DagsterRun:
    """Return a run of a job, whose snapshot is made at first use.

    Args:
        job: The job, with what is selected of it.
        facts: What else the run is made of, as Dagster's class takes it.
    """
    snapshot = _Snapshot(job)
    members = {
        "job_snapshot_id": property(lambda _: snapshot.id),
        # Dagster writes a run down by the name of its class, and reads its own class from it.
        "__module__": DagsterRun.__module__,
        "__reduce_ex__": lambda run, _: (_plain(run, snapshot_id=snapshot.id), ()),
    }
    made: Any = type(DagsterRun.__name__, (DagsterRun,), members)
    run: DagsterRun = made(job_name=job.name, **facts)
    return run


def _plain(run: Any, *, snapshot_id: str) -> "partial[DagsterRun]":
    """Return what makes the run as Dagster's own class has it: a step launcher sends it where nothing is known of ours."""
    return partial(DagsterRun, **run._asdict() | {"job_snapshot_id": snapshot_id})
