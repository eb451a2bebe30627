"""Dagster's event log storage as one run sees it: its events are handed on, and the control plane's store is asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dagster._core.definitions.events import AssetKey
from dagster._core.event_api import (
    AssetRecordsFilter,
    EventLogCursor,
    EventLogRecord,
    EventRecordsFilter,
    EventRecordsResult,
)
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS as STATUS_BY_EVENT_TYPE
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.base import AssetEntry, AssetRecord, EventLogConnection, EventLogStorage

from isthmus_code_server.definitions.dagster.asked.check_records import CheckRecords
from isthmus_code_server.definitions.dagster.asked.pool_records import PoolRecords
from isthmus_code_server.definitions.dagster.asked.rebuild import kind_of
from isthmus_code_server.definitions.dagster.asked.store_query import EventSearch, PartitionSearch, StoreQuery
from isthmus_code_server.errors import UnsupportedInstanceCallError

#: Takes each entry of the run's log, in order.
EntrySink = Callable[[EventLogEntry], None]

_MATERIALIZATION = DagsterEventType.ASSET_MATERIALIZATION
_PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED


class AskingEventStorage(CheckRecords, PoolRecords, EventLogStorage[Any]):
    """Hands the run's events on, and asks the control plane about everything that was ever stored."""

    def __init__(self, store: StoreQuery) -> None:
        self._store = store
        self._sink: EntrySink | None = None
        self._run_id = ""
        self._partition_key: str | None = None
        #: Whether a step was begun in this process.
        self.is_in_step = False

    def begin(self, sink: EntrySink, *, run_id: str, partition_key: str | None) -> None:
        """Hand on to `sink` from now on.

        Args:
            sink: Takes each entry.
            run_id: The run's id.
            partition_key: The run's own partition, which exists because the run was accepted with it.
        """
        self._sink = sink
        self._run_id = run_id
        self._partition_key = partition_key

    def store_event(self, event: EventLogEntry) -> None:
        """Hand an entry on; what happened to an asset outside of runs is told at once, and kept when this returns."""
        if not event.run_id and event.dagster_event is not None:
            self._store.report_asset_event(event)
            return
        if self._sink is None or event.run_id != self._run_id:
            raise UnsupportedInstanceCallError("EventLogStorage.store_event", why="it is no event of the run itself")
        self.is_in_step = self.is_in_step or event.dagster_event_type is DagsterEventType.STEP_START
        self._sink(event)

    @property
    def is_persistent(self) -> bool:
        """Say that another process cannot open this storage."""
        return False

    @property
    def asset_records_have_last_observation(self) -> bool:
        """Say that an asset's record carries its last observation."""
        return True

    def can_read_asset_status_cache(self) -> bool:
        """Say that the state of partitions is to be computed from their events."""
        return False

    def can_write_asset_status_cache(self) -> bool:
        """Say that nobody would read a computed state."""
        return False

    # ------------------------------------------------------------------------------------------------------ assets

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        """Return what is known of these assets, or of all; an asset that no run touched has no record."""
        if asset_keys is not None and not asset_keys:
            return []
        found = self._store.latest_events(asset_keys, kinds=("asset_materialized", "asset_observed", "asset_planned"))
        return [asset_record(key, records) for key, records in found.items()]

    def has_asset_key(self, asset_key: AssetKey) -> bool:
        """Tell whether any run touched the asset."""
        return bool(self.get_asset_records([asset_key]))

    def all_asset_keys(self) -> Sequence[AssetKey]:
        """Return every asset that a run touched."""
        return self._store.asset_keys()

    def get_latest_materialization_events(
        self, asset_keys: Iterable[AssetKey]
    ) -> Mapping[AssetKey, EventLogEntry | None]:
        """Return the last materialization of each asset."""
        keys = list(asset_keys)
        found = self._store.latest_events(keys, kinds=("asset_materialized",)) if keys else {}
        return {key: found[key][0].event_log_entry if key in found else None for key in keys}

    def get_materialized_partitions(
        self, asset_key: AssetKey, before_cursor: int | None = None, after_cursor: int | None = None
    ) -> set[str]:
        """Return the partitions that were materialized."""
        facts = self._store.partitions(
            asset_key, PartitionSearch(kind="asset_materialized", after=after_cursor, before=before_cursor)
        )
        return {fact.partition for fact in facts}

    def get_latest_storage_id_by_partition(
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        partitions: set[str] | None = None,
        after_cursor: int | None = None,
    ) -> Mapping[str, int]:
        """Return the id of the last event of a kind about each partition."""
        facts = self._store.partitions(
            asset_key, PartitionSearch(kind=kind_of(event_type), among=partitions, after=after_cursor)
        )
        return {fact.partition: fact.id for fact in facts}

    def get_latest_tags_by_partition(  # noqa: PLR0917  # the signature is Dagster's
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        tag_keys: Sequence[str],
        asset_partitions: Sequence[str] | None = None,
        before_cursor: int | None = None,
        after_cursor: int | None = None,
    ) -> Mapping[str, Mapping[str, str]]:
        """Return the tags of the last event of a kind about each partition."""
        facts = self._store.partitions(
            asset_key,
            PartitionSearch(
                kind=kind_of(event_type),
                among=asset_partitions,
                after=after_cursor,
                before=before_cursor,
                is_with_tags=True,
            ),
        )
        tags = {fact.partition: {key: fact.tags[key] for key in tag_keys if key in fact.tags} for fact in facts}
        return {partition: found for partition, found in tags.items() if found}

    def get_latest_asset_partition_materialization_attempts_without_materializations(
        self, asset_key: AssetKey, after_storage_id: int | None = None
    ) -> Mapping[str, tuple[str, int]]:
        """Return run and event of what was planned last of each partition and did not materialize since."""
        planned = self._store.partitions(asset_key, PartitionSearch(kind="asset_planned", after=after_storage_id))
        made = self.get_latest_storage_id_by_partition(asset_key, _MATERIALIZATION, after_cursor=after_storage_id)
        return {fact.partition: (fact.run_id, fact.id) for fact in planned if made.get(fact.partition, 0) < fact.id}

    def get_latest_planned_materialization_info(self, asset_key: AssetKey, partition: str | None = None) -> Any:
        """Return run and event of what was planned last."""
        from dagster._core.storage.event_log.base import PlannedMaterializationInfo

        among = [partition] if partition else None
        found = self.get_event_records(EventRecordsFilter(_PLANNED, asset_key, asset_partitions=among), limit=1)
        return PlannedMaterializationInfo(storage_id=found[0].storage_id, run_id=found[0].run_id) if found else None

    # ------------------------------------------------------------------------------------------------------ events

    def get_event_records(
        self,
        event_records_filter: EventRecordsFilter,
        limit: int | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> Sequence[EventLogRecord]:
        """Return events of one type over all runs."""
        return self._store.events(EventSearch.of(event_records_filter, is_ascending=ascending), limit=limit)

    def fetch_materializations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> EventRecordsResult:
        """Return a page of an asset's materializations."""
        wanted = _asset_filter(records_filter, _MATERIALIZATION, cursor=cursor, is_ascending=ascending)
        return self._page(wanted, limit, cursor=cursor, is_ascending=ascending)

    def fetch_observations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> EventRecordsResult:
        """Return a page of an asset's observations."""
        kind = DagsterEventType.ASSET_OBSERVATION
        wanted = _asset_filter(records_filter, kind, cursor=cursor, is_ascending=ascending)
        return self._page(wanted, limit, cursor=cursor, is_ascending=ascending)

    def fetch_run_status_changes(
        self,
        records_filter: Any,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> EventRecordsResult:
        """Return a page of the events that moved runs into a state."""
        is_plain = isinstance(records_filter, DagsterEventType)
        event_type = records_filter if is_plain else records_filter.event_type
        if event_type not in STATUS_BY_EVENT_TYPE:
            raise UnsupportedInstanceCallError(f"fetch_run_status_changes of {event_type}", why="it changes no run")
        before, after = EventRecordsFilter.get_cursor_params(cursor, ascending)
        wanted = (
            EventRecordsFilter(event_type, before_cursor=before, after_cursor=after)
            if is_plain
            else records_filter.to_event_records_filter_without_job_names(cursor, ascending)
        )
        jobs = () if is_plain else tuple(records_filter.job_names or ())
        return self._page(wanted, limit, cursor=cursor, is_ascending=ascending, job_names=jobs)

    @property
    def supports_run_status_change_job_name_filter(self) -> bool:
        """Say that changes can be asked for by jobs."""
        return True

    def get_records_for_run(
        self,
        run_id: str,
        cursor: str | None = None,
        of_type: DagsterEventType | set[DagsterEventType] | None = None,
        limit: int | None = None,
        ascending: bool = True,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> EventLogConnection:
        """Return a run's events; their ids are their positions within the run."""
        types = {of_type} if isinstance(of_type, DagsterEventType) else set(of_type or ())
        at = EventLogCursor.parse(cursor) if cursor else None
        skipped = at.offset() if at is not None and at.is_offset_cursor() else 0
        found = self._store.run_events(
            run_id,
            types=types,
            beyond=at.storage_id() if at is not None and at.is_id_cursor() else 0,
            limit=limit + skipped if limit else None,
            is_ascending=ascending,
        )[skipped:]
        end = EventLogCursor.from_storage_id(found[-1].storage_id if found else -1).to_string()
        next_cursor = end if found or not cursor else cursor
        return EventLogConnection(records=found, cursor=next_cursor, has_more=bool(limit and len(found) == limit))

    def _page(
        self,
        wanted: EventRecordsFilter,
        limit: int,
        *,
        cursor: str | None,
        is_ascending: bool,
        job_names: Sequence[str] = (),
    ) -> EventRecordsResult:
        search = EventSearch.of(wanted, is_ascending=is_ascending, job_names=job_names)
        records = self._store.events(search, limit=limit)
        end = EventLogCursor.from_storage_id(records[-1].storage_id if records else -1).to_string()
        next_cursor = end if records or not cursor else cursor
        return EventRecordsResult(records, cursor=next_cursor, has_more=len(records) == limit)

    # ---------------------------------------------------------------------------------------------- dynamic partitions

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """Return the keys that were added, and the run's own."""
        known = self._store.dynamic_partitions(partitions_def_name)
        own = [self._partition_key] if self._partition_key and self._partition_key not in known else []
        return [*known, *own]

    def get_paginated_dynamic_partitions(
        self,
        partitions_def_name: str,
        limit: int,
        ascending: bool,  # noqa: FBT001  # the signature is Dagster's
        cursor: str | None = None,
    ) -> Any:
        """Return a page of the keys."""
        from dagster._core.types.pagination import PaginatedResults

        keys = list(self.get_dynamic_partitions(partitions_def_name))
        return PaginatedResults.create_from_sequence(
            seq=keys if ascending else keys[::-1], limit=limit, ascending=ascending, cursor=cursor
        )

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        """Tell whether the key was added, or is the run's own."""
        if partition_key == self._partition_key:
            return True
        return bool(self._store.dynamic_partitions(partitions_def_name, among=[partition_key]))

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Add keys for all runs."""
        self._store.change_dynamic_partitions(partitions_def_name, added=partition_keys)

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        """Delete a key for all runs."""
        self._store.change_dynamic_partitions(partitions_def_name, deleted=[partition_key])


def asset_record(key: AssetKey, records: Sequence[EventLogRecord]) -> AssetRecord:
    """Return what Dagster keeps of an asset, given its newest events."""
    by_type = {record.event_log_entry.dagster_event_type: record for record in records}
    latest = max(records, key=lambda record: record.storage_id)
    entry = AssetEntry(
        asset_key=key,
        last_materialization_record=by_type.get(_MATERIALIZATION),
        last_observation_record=by_type.get(DagsterEventType.ASSET_OBSERVATION),
        last_run_id=latest.run_id,
    )
    return AssetRecord(storage_id=latest.storage_id, asset_entry=entry)


def _asset_filter(
    wanted: AssetKey | AssetRecordsFilter, event_type: DagsterEventType, *, cursor: str | None, is_ascending: bool
) -> EventRecordsFilter:
    if isinstance(wanted, AssetRecordsFilter):
        kind: Any = event_type
        return wanted.to_event_records_filter(event_type=kind, cursor=cursor, ascending=is_ascending)
    before, after = EventRecordsFilter.get_cursor_params(cursor, is_ascending)
    return EventRecordsFilter(event_type, wanted, before_cursor=before, after_cursor=after)
