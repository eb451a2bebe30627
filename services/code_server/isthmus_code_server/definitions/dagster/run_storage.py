"""Dagster's run storage as one run sees it: the run itself, and a clear refusal for everything else."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS as STATUS_BY_EVENT_TYPE
from dagster._core.events import DagsterEvent
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.storage.runs.base import RunStorage

from isthmus_code_server.definitions.dagster.refusal import refuse_the_rest
from isthmus_code_server.errors import UnsupportedInstanceCallError


class CurrentRunStorage(RunStorage[Any]):
    """Holds the run that this process executes."""

    def __init__(self) -> None:
        self._run: DagsterRun | None = None
        self._is_cancel_requested: Callable[[], bool] = lambda: False
        self._began_at = datetime.now(UTC)

    def begin(self, run: DagsterRun, *, is_cancel_requested: Callable[[], bool]) -> None:
        """Take the run that this process is about to execute."""
        self._run = run
        self._is_cancel_requested = is_cancel_requested
        self._began_at = datetime.now(UTC)

    @property
    def run(self) -> DagsterRun | None:
        """The run as it stands; a run that someone asked to end is canceling, whatever it does at the moment."""
        if self._run is None or self._run.is_finished or not self._is_cancel_requested():
            return self._run
        return self._run.with_status(DagsterRunStatus.CANCELING)

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        """Move the run's status."""
        del update_timestamp
        status = STATUS_BY_EVENT_TYPE.get(event.event_type)
        if self._run is not None and self._run.run_id == run_id and status is not None:
            self._run = self._run.with_status(status)

    def has_run(self, run_id: str) -> bool:
        """Tell whether this is the run."""
        return self._run is not None and self._run.run_id == run_id

    def get_runs(  # the signature is Dagster's
        self,
        filters: RunsFilter | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        bucket_by: object = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> Sequence[DagsterRun]:
        """Return the current run, if it alone is asked for."""
        del cursor, limit, bucket_by, ascending
        run = self.run
        if run is None or filters is None or list(filters.run_ids or ()) != [run.run_id]:
            raise UnsupportedInstanceCallError("RunStorage.get_runs")
        return [run]

    def get_run_records(  # noqa: PLR0917  # the signature is Dagster's
        self,
        filters: RunsFilter | None = None,
        limit: int | None = None,
        order_by: str | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
        cursor: str | None = None,
        bucket_by: object = None,
    ) -> Sequence[RunRecord]:
        """Return the current run's record, if it alone is asked for."""
        del limit, order_by, ascending, cursor, bucket_by
        return [
            RunRecord(
                storage_id=1,
                dagster_run=run,
                create_timestamp=self._began_at,
                update_timestamp=datetime.now(UTC),
                start_time=self._began_at.timestamp(),
            )
            for run in self.get_runs(filters)
        ]

    def add_run_tags(self, run_id: str, new_tags: Mapping[str, str]) -> None:
        """Refuse: a tag that only this process knew would be lost without a word."""
        del run_id, new_tags
        raise UnsupportedInstanceCallError("RunStorage.add_run_tags")


#: Every abstract method that is not written above refuses, whichever of them this version of Dagster has.
new_run_storage = refuse_the_rest(CurrentRunStorage, of=RunStorage)
