"""Dagster's event log storage as one run sees it: events are handed on, and the location's ledger is asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dagster._core.definitions.events import AssetKey
from dagster._core.event_api import AssetRecordsFilter, EventLogRecord, EventRecordsResult
from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.base import AssetEntry, AssetRecord, EventLogStorage
from dagster._serdes import deserialize_value, serialize_value

from isthmus_code_server.definitions.dagster.ledger import AssetRecordEntry, LocationLedger, RecordKind
from isthmus_code_server.definitions.dagster.refusal import refuse_the_rest
from isthmus_code_server.errors import UnsupportedInstanceCallError

#: Takes each entry of the run's log, in order.
EntrySink = Callable[[EventLogEntry], None]

_KINDS: Mapping[DagsterEventType, RecordKind] = {
    DagsterEventType.ASSET_MATERIALIZATION: RecordKind.MATERIALIZATION,
    DagsterEventType.ASSET_OBSERVATION: RecordKind.OBSERVATION,
}


class HandingOnEventStorage(EventLogStorage[Any]):
    """Hands events on; answers about assets with what the location's own runs recorded."""

    def __init__(self, ledger: LocationLedger) -> None:
        self._ledger = ledger
        self._sink: EntrySink | None = None
        self._partition_key: str | None = None

    def begin(self, sink: EntrySink, *, partition_key: str | None) -> None:
        """Hand on to `sink` from now on.

        Args:
            sink: Takes each entry.
            partition_key: The run's own partition, which exists though no run of this location added it.
        """
        self._sink = sink
        self._partition_key = partition_key

    def store_event(self, event: EventLogEntry) -> None:
        """Hand an entry on, and remember what it says of an asset."""
        if self._sink is None:
            raise UnsupportedInstanceCallError("EventLogStorage.store_event")
        self._sink(event)
        kind = _KINDS.get(event.dagster_event_type) if event.dagster_event_type is not None else None
        if kind is not None and event.dagster_event is not None and event.dagster_event.asset_key is not None:
            self._ledger.record(
                event.dagster_event.asset_key.to_string(),
                kind=kind,
                partition=event.dagster_event.partition,
                entry=serialize_value(event),
            )

    @property
    def is_persistent(self) -> bool:
        """Say that another process cannot open this storage."""
        return False

    @property
    def asset_records_have_last_observation(self) -> bool:
        """Say that an asset's record carries its last observation."""
        return True

    # ------------------------------------------------------------------------------------------------------ assets

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        """Return what is known of these assets; an asset that no run of this location touched has no record."""
        if asset_keys is None:
            raise UnsupportedInstanceCallError("EventLogStorage.get_asset_records of all assets")
        records = [self._asset_record(key) for key in asset_keys]
        return [record for record in records if record is not None]

    def has_asset_key(self, asset_key: AssetKey) -> bool:
        """Tell whether a run of this location touched the asset."""
        return self._asset_record(asset_key) is not None

    def get_latest_materialization_events(
        self, asset_keys: Iterable[AssetKey]
    ) -> Mapping[AssetKey, EventLogEntry | None]:
        """Return the last materialization of each asset."""
        records = {key: self._last(key, kind=RecordKind.MATERIALIZATION) for key in asset_keys}
        return {key: record.event_log_entry if record is not None else None for key, record in records.items()}

    def fetch_materializations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> EventRecordsResult:
        """Return the last materialization; only the last is kept here."""
        return self._fetch(records_filter, limit, kind=RecordKind.MATERIALIZATION, is_odd=bool(cursor) or ascending)

    def fetch_observations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> EventRecordsResult:
        """Return the last observation; only the last is kept here."""
        return self._fetch(records_filter, limit, kind=RecordKind.OBSERVATION, is_odd=bool(cursor) or ascending)

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
        del before_cursor, after_cursor
        found: dict[str, Mapping[str, str]] = {}
        for kept in self._ledger.by_partition(asset_key.to_string(), kind=_KINDS[event_type]):
            if kept.partition is not None and (asset_partitions is None or kept.partition in asset_partitions):
                tags = _tags(_event_log_record(kept))
                found[kept.partition] = {key: tags[key] for key in tag_keys if key in tags}
        return found

    def get_materialized_partitions(
        self, asset_key: AssetKey, before_cursor: int | None = None, after_cursor: int | None = None
    ) -> set[str]:
        """Return the partitions that runs of this location materialized."""
        kept = self._ledger.by_partition(asset_key.to_string(), kind=RecordKind.MATERIALIZATION)
        return {
            entry.partition
            for entry in kept
            if entry.partition is not None
            and (before_cursor is None or entry.storage_id < before_cursor)
            and (after_cursor is None or entry.storage_id > after_cursor)
        }

    def _asset_record(self, key: AssetKey) -> AssetRecord | None:
        materialization = self._last(key, kind=RecordKind.MATERIALIZATION)
        observation = self._last(key, kind=RecordKind.OBSERVATION)
        latest = materialization or observation
        if latest is None:
            return None
        entry = AssetEntry(
            asset_key=key,
            last_materialization_record=materialization,
            last_observation_record=observation,
            last_run_id=latest.run_id,
        )
        return AssetRecord(storage_id=latest.storage_id, asset_entry=entry)

    def _last(self, key: AssetKey, *, kind: RecordKind, partition: str | None = None) -> EventLogRecord | None:
        kept = self._ledger.last(key.to_string(), kind=kind, partition=partition)
        return _event_log_record(kept) if kept is not None else None

    def _fetch(
        self, records_filter: AssetKey | AssetRecordsFilter, limit: int, *, kind: RecordKind, is_odd: bool
    ) -> EventRecordsResult:
        key = records_filter if isinstance(records_filter, AssetKey) else records_filter.asset_key
        partitions = None if isinstance(records_filter, AssetKey) else records_filter.asset_partitions
        if limit != 1 or is_odd or _is_bounded(records_filter) or len(partitions or ()) > 1:
            raise UnsupportedInstanceCallError(f"EventLogStorage.fetch_{kind}s of more than the last one")
        record = self._last(key, kind=kind, partition=partitions[0] if partitions else None)
        return EventRecordsResult([record] if record is not None else [], cursor="", has_more=False)

    # ---------------------------------------------------------------------------------------------- dynamic partitions

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """Return the keys that runs of this location added, and the run's own."""
        known = self._ledger.dynamic_partitions(partitions_def_name)
        own = [self._partition_key] if self._partition_key and self._partition_key not in known else []
        return [*known, *own]

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        """Tell whether a run of this location added the key, or has it."""
        return partition_key in self.get_dynamic_partitions(partitions_def_name)

    def add_dynamic_partitions(self, partitions_def_name: str, partition_keys: Sequence[str]) -> None:
        """Remember keys for this location's runs."""
        self._ledger.add_dynamic_partitions(partitions_def_name, keys=partition_keys)

    def delete_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> None:
        """Forget a key."""
        self._ledger.delete_dynamic_partition(partitions_def_name, key=partition_key)


def _event_log_record(kept: AssetRecordEntry) -> EventLogRecord:
    return EventLogRecord(storage_id=kept.storage_id, event_log_entry=deserialize_value(kept.entry, EventLogEntry))


def _tags(record: EventLogRecord) -> Mapping[str, str]:
    event = record.asset_event
    return event.tags or {} if event is not None else {}


def _is_bounded(records_filter: AssetKey | AssetRecordsFilter) -> bool:
    if isinstance(records_filter, AssetKey):
        return False
    bounds = (
        records_filter.after_timestamp,
        records_filter.before_timestamp,
        records_filter.after_storage_id,
        records_filter.before_storage_id,
        records_filter.storage_ids,
    )
    return any(bound is not None for bound in bounds)


#: Every abstract method that is not written above refuses, whichever of them this version of Dagster has.
new_event_storage = refuse_the_rest(HandingOnEventStorage, of=EventLogStorage)
