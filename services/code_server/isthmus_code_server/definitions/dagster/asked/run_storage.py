"""Dagster's run storage as one run sees it: the run itself is here, every other one is asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS as STATUS_BY_EVENT_TYPE
from dagster._core.events import DagsterEvent
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.storage.runs.base import RunStorage
from isthmus.v1 import instance_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.asking import is_executor_asking
from isthmus_code_server.definitions.dagster.asked.refusal import refuse_the_rest
from isthmus_code_server.definitions.dagster.asked.run_origin import RunOrigins
from isthmus_code_server.definitions.dagster.asked.run_records import record_here, record_of, runs_query
from isthmus_code_server.definitions.dagster.asked.store_query import StoreQuery
from isthmus_code_server.errors import UnsupportedInstanceCallError

_ROOT_TAG = "dagster/root_run_id"


@dataclass(frozen=True, kw_only=True)
class _Page:
    """What Dagster's methods ask for besides the filter."""

    limit: int | None = None
    after_run_id: str | None = None
    order_by: str | None = None
    is_ascending: bool = False
    bucket_by: object = None


class AskingRunStorage(RunStorage[Any]):
    """Holds the run that this process executes, and asks the control plane for runs."""

    def __init__(self, store: StoreQuery, origins: RunOrigins) -> None:
        self._store = store
        self._origins = origins
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

    # ------------------------------------------------------------------------------------------------------- reading

    def has_run(self, run_id: str) -> bool:
        """Tell whether there is such a run."""
        run = self._run
        return (run is not None and run.run_id == run_id) or bool(self.get_run_ids(RunsFilter(run_ids=[run_id])))

    def get_runs(  # the signature is Dagster's
        self,
        filters: RunsFilter | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        bucket_by: object = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> Sequence[DagsterRun]:
        """Return runs, newest first."""
        page = _Page(limit=limit, after_run_id=cursor, is_ascending=ascending, bucket_by=bucket_by)
        return [record.dagster_run for record in self._records(filters, page)]

    def get_run_records(  # noqa: PLR0917  # the signature is Dagster's
        self,
        filters: RunsFilter | None = None,
        limit: int | None = None,
        order_by: str | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
        cursor: str | None = None,
        bucket_by: object = None,
    ) -> Sequence[RunRecord]:
        """Return runs with their times, newest first."""
        own = self._own(filters)
        if own is not None:
            began_at = self._began_at
            return [RunRecord(storage_id=0, dagster_run=own, create_timestamp=began_at, update_timestamp=began_at)]
        page = _Page(limit=limit, after_run_id=cursor, order_by=order_by, is_ascending=ascending, bucket_by=bucket_by)
        return self._records(filters, page)

    def get_run_ids(
        self, filters: RunsFilter | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Sequence[str]:
        """Return the ids of runs, newest first."""
        records = self._records(filters, _Page(limit=limit, after_run_id=cursor))
        return [record.dagster_run.run_id for record in records]

    def get_runs_count(self, filters: RunsFilter | None = None) -> int:
        """Return how many runs there are."""
        return self._store.run_count(runs_query(filters))

    def get_run_group(self, run_id: str) -> tuple[str, Sequence[DagsterRun]] | None:
        """Return a run's root and all that descend from that one."""
        found = self._records(RunsFilter(run_ids=[run_id]), _Page())
        if not found:
            return None
        root_id = found[0].dagster_run.tags.get(_ROOT_TAG, run_id)
        roots = self._records(RunsFilter(run_ids=[root_id]), _Page())
        children = self._records(RunsFilter(tags={_ROOT_TAG: root_id}), _Page())
        return root_id, [record.dagster_run for record in (*roots, *children)]

    def get_run_tags(
        self, tag_keys: Sequence[str], value_prefix: str | None = None, limit: int | None = None
    ) -> Sequence[tuple[str, set[str]]]:
        """Return the values that these tags have on any run."""
        query = pb.RunTagsQuery(keys=tag_keys, value_prefix=value_prefix or "", limit=limit or 0)
        return [(it.key, set(it.values)) for it in self._store.run_tags(query)]

    def get_run_tag_keys(self) -> Sequence[str]:
        """Return the keys of the tags that runs have."""
        return [it.key for it in self._store.run_tags(pb.RunTagsQuery())]

    def _records(self, filters: RunsFilter | None, page: _Page) -> list[RunRecord]:
        own = self._own(filters)
        if own is not None:
            return [record_here(own, began_at=self._began_at)]
        if page.bucket_by is not None:
            raise UnsupportedInstanceCallError("RunStorage.get_runs by bucket")
        if page.order_by not in (None, "id", "create_timestamp", "update_timestamp"):
            raise UnsupportedInstanceCallError(f"RunStorage.get_run_records in the order of {page.order_by!r}")
        if (told := self._told(filters, page)) is not None:
            return told
        query = runs_query(filters)
        query.after_run_id = page.after_run_id or ""
        query.is_ascending = page.is_ascending
        query.is_by_update = page.order_by == "update_timestamp"
        return [
            record_of(found, own=self.run, origins=self._origins) for found in self._store.runs(query, limit=page.limit)
        ]

    def _told(self, filters: RunsFilter | None, page: _Page) -> list[RunRecord] | None:
        """Return runs that are asked for by their ids and were told of; None where others are asked for."""
        facts = self._store.facts
        if facts is None or filters is None or not filters.run_ids or page != _Page(limit=page.limit):
            return None
        ids = list(filters.run_ids)
        if filters != RunsFilter(run_ids=ids) or not all(it in facts.runs for it in ids):
            return None
        found = sorted((facts.runs[it] for it in set(ids)), key=_begun_at, reverse=True)
        return [record_of(it, own=self.run, origins=self._origins) for it in found][: page.limit]

    def get_backfills(self, *_: object, **__: object) -> Sequence[Any]:
        """Return no backfills: those of the control plane are not told here."""
        return []

    def _own(self, filters: RunsFilter | None) -> DagsterRun | None:
        """Return the own run when Dagster's executor itself asks for it: it knows nothing that is not known here."""
        run = self.run
        is_asked = run is not None and filters is not None and list(filters.run_ids or ()) == [run.run_id]
        return run if is_asked and is_executor_asking() else None

    # ------------------------------------------------------------------------------------------------------- writing

    def add_run_tags(self, run_id: str, new_tags: Mapping[str, str]) -> None:
        """Put tags on a run."""
        self._store.add_run_tags(run_id, dict(new_tags))
        if self._run is not None and self._run.run_id == run_id:
            self._run = self._run.with_tags({**self._run.tags, **new_tags})


def _begun_at(found: pb.FoundRun) -> int:
    return found.run.queued_at.ToMicroseconds()


#: Every abstract method that is not written above refuses, whichever of them this version of Dagster has.
new_run_storage = refuse_the_rest(AskingRunStorage, of=RunStorage)
