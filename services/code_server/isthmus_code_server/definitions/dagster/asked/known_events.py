"""Dagster's event log storage of an evaluation of automation: it answers from what was told at the beginning.

What was not told is asked for, as always. Outside of such an evaluation nothing was told.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import Any

from dagster import AssetCheckKey
from dagster._core.definitions.events import AssetKey
from dagster._core.event_api import EventLogRecord
from dagster._core.events import DagsterEventType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.event_log.base import AssetRecord, EventLogStorage
from isthmus.v1 import instance_pb2 as pb
from isthmus.v1.control_plane_pb2 import AssetFreshness

from isthmus_code_server.definitions.dagster.asked.asking import is_loader_asking
from isthmus_code_server.definitions.dagster.asked.asset_facts import AssetFacts
from isthmus_code_server.definitions.dagster.asked.check_records import STATUSES, check_record
from isthmus_code_server.definitions.dagster.asked.event_storage import AskingEventStorage, asset_record
from isthmus_code_server.definitions.dagster.asked.rebuild import kind_of
from isthmus_code_server.definitions.dagster.asked.rebuild_metadata import key_of
from isthmus_code_server.definitions.dagster.asked.refusal import refuse_the_rest
from isthmus_code_server.definitions.dagster.asked.store_query import record_of

_MATERIALIZATION = DagsterEventType.ASSET_MATERIALIZATION
#: Dagster's names; of 1.10 it has none.
_FRESHNESS = {
    AssetFreshness.ASSET_FRESHNESS_PASSING: "PASS",
    AssetFreshness.ASSET_FRESHNESS_WARNING: "WARN",
    AssetFreshness.ASSET_FRESHNESS_FAILING: "FAIL",
}
_COMPLETED = frozenset({pb.CheckExecutionsQuery.STATUS_SUCCEEDED, pb.CheckExecutionsQuery.STATUS_FAILED})


class KnowingEventStorage(AskingEventStorage):
    """Answers from what was told, and asks for the rest."""

    @property
    def _facts(self) -> AssetFacts | None:
        return self._store.facts

    def get_maximum_record_id(self) -> int:
        """Return a number that every event that is stored later is above."""
        return self._facts.newest_id if self._facts is not None else self._store.newest_id()

    # ---------------------------------------------------------------------------------------------------------- assets

    def get_asset_records(self, asset_keys: Sequence[AssetKey] | None = None) -> Sequence[AssetRecord]:
        """Return what is known of these assets; see the storage that asks."""
        facts = self._facts
        # What was told lacks what only user code may want to read of an event.
        if facts is None or asset_keys is None or not is_loader_asking():
            return super().get_asset_records(asset_keys)
        known = [key for key in asset_keys if facts.knows(key)]
        unknown = [key for key in asset_keys if not facts.knows(key)]
        found = [asset_record(key, records) for key in known if (records := _records(facts.asset(key)))]
        return [*found, *super().get_asset_records(unknown)] if unknown else found

    def get_freshness_state_records(self, keys: Sequence[AssetKey]) -> Mapping[AssetKey, Any]:
        """Return how fresh assets are by their policies."""
        facts = self._facts
        unknown = [key for key in keys if facts is None or not facts.knows(key)]
        told = list(facts.freshness(keys)) if facts is not None else []
        told += self._store.freshness(unknown) if unknown else []
        return {key_of(it.asset): _freshness_record(it) for it in told}

    def get_materialized_partitions(
        self, asset_key: AssetKey, before_cursor: int | None = None, after_cursor: int | None = None
    ) -> set[str]:
        """Return the partitions that were materialized."""
        told = self._newest(asset_key, _MATERIALIZATION, after=after_cursor) if before_cursor is None else None
        if told is not None:
            return set(told)
        return super().get_materialized_partitions(asset_key, before_cursor=before_cursor, after_cursor=after_cursor)

    def get_latest_storage_id_by_partition(
        self,
        asset_key: AssetKey,
        event_type: DagsterEventType,
        partitions: set[str] | None = None,
        after_cursor: int | None = None,
    ) -> Mapping[str, int]:
        """Return the id of the last event of a kind about each partition."""
        told = self._newest(asset_key, event_type, after=after_cursor)
        if told is None:
            return super().get_latest_storage_id_by_partition(asset_key, event_type, partitions, after_cursor)
        return told if partitions is None else {key: told[key] for key in partitions if key in told}

    def _newest(self, key: AssetKey, event_type: DagsterEventType, *, after: int | None) -> dict[str, int] | None:
        partitions = self._facts.partitions(key) if self._facts is not None else None
        return partitions.newest(kind_of(event_type), after=after or 0) if partitions is not None else None

    def get_latest_asset_partition_materialization_attempts_without_materializations(
        self, asset_key: AssetKey, after_storage_id: int | None = None
    ) -> Mapping[str, tuple[str, int]]:
        """Return run and event of what was planned last of each partition and did not materialize since."""
        told = self._facts.partitions(asset_key) if self._facts is not None else None
        if told is None:
            return super().get_latest_asset_partition_materialization_attempts_without_materializations(
                asset_key, after_storage_id
            )
        return {key: plan for key, plan in told.plans.items() if plan[1] > (after_storage_id or 0)}

    def get_latest_planned_materialization_info(self, asset_key: AssetKey, partition: str | None = None) -> Any:
        """Return run and event of what was planned last, also of a run that waits yet."""
        from dagster._core.storage.event_log.base import PlannedMaterializationInfo

        if self._facts is None or partition or not self._facts.knows(asset_key):
            return super().get_latest_planned_materialization_info(asset_key, partition)
        fact = self._facts.asset(asset_key)
        if fact is None or not fact.HasField("plan"):
            return None
        return PlannedMaterializationInfo(storage_id=fact.plan.id, run_id=fact.plan.run_id)

    def get_asset_event_summary_records(  # noqa: PLR0913, PLR0917  # the signature is Dagster's, of its newer versions
        self,
        event_type: Any,
        asset_key: AssetKey | None = None,
        run_id: str | None = None,
        storage_ids: Sequence[int] | None = None,
        after_storage_id: int | None = None,
        before_storage_id: int | None = None,
        limit: int | None = None,
        ascending: bool = False,  # noqa: FBT001, FBT002  # the signature is Dagster's
    ) -> Sequence[Any]:
        """Return events without their bodies: none are asked for where it is known that there are none."""
        is_bounded = event_type is _MATERIALIZATION and asset_key is not None and after_storage_id is not None
        if is_bounded and asset_key is not None and self._is_over(asset_key, after_storage_id or 0):
            return []
        return super().get_asset_event_summary_records(
            event_type,
            asset_key=asset_key,
            run_id=run_id,
            storage_ids=storage_ids,
            after_storage_id=after_storage_id,
            before_storage_id=before_storage_id,
            limit=limit,
            ascending=ascending,
        )

    def _is_over(self, key: AssetKey, after: int) -> bool:
        """Tell whether it is known that an asset was not materialized after an event."""
        if self._facts is None or not self._facts.knows(key):
            return False
        fact = self._facts.asset(key)
        return fact is None or fact.materialized.id <= after

    # ---------------------------------------------------------------------------------------------- dynamic partitions

    def get_dynamic_partitions(self, partitions_def_name: str) -> Sequence[str]:
        """Return the keys that were added."""
        told = self._facts.dynamic.get(partitions_def_name) if self._facts is not None else None
        return told if told is not None else super().get_dynamic_partitions(partitions_def_name)

    def has_dynamic_partition(self, partitions_def_name: str, partition_key: str) -> bool:
        """Tell whether the key was added."""
        told = self._facts.dynamic.get(partitions_def_name) if self._facts is not None else None
        if told is not None:
            return partition_key in told
        return super().has_dynamic_partition(partitions_def_name, partition_key)

    # ---------------------------------------------------------------------------------------------------------- checks

    def get_latest_asset_check_execution_by_key(
        self, check_keys: Sequence[AssetCheckKey], partition_filter: Any = None
    ) -> Mapping[AssetCheckKey, AssetCheckExecutionRecord]:
        """Return the last execution of each check."""
        if self._facts is None or partition_filter is not None or not self._facts.knows_checks(check_keys):
            return super().get_latest_asset_check_execution_by_key(check_keys, partition_filter)
        return {key: check_record(key, found[0]) for key, found in self._facts.executions(check_keys).items()}

    def get_asset_check_summary_records(self, asset_check_keys: Sequence[AssetCheckKey]) -> Mapping[AssetCheckKey, Any]:
        """Return the last execution and the last completed one of each check."""
        if self._facts is None or not self._facts.knows_checks(asset_check_keys):
            return super().get_asset_check_summary_records(asset_check_keys)
        found = self._facts.executions(asset_check_keys)
        return {key: _summary(key, found.get(key, ())) for key in asset_check_keys}


def _freshness_record(fact: pb.FreshnessFact) -> Any:
    from dagster._core.definitions.freshness import FreshnessState, FreshnessStateRecord, FreshnessStateRecordBody

    return FreshnessStateRecord(
        entity_key=key_of(fact.asset),
        freshness_state=FreshnessState(_FRESHNESS.get(fact.state, "UNKNOWN")),
        updated_at=fact.since.ToDatetime(UTC),
        record_body=FreshnessStateRecordBody(metadata={}),
    )


def _records(fact: pb.AssetFact | None) -> list[EventLogRecord]:
    if fact is None:
        return []
    return [record_of(getattr(fact, name)) for name in ("materialized", "observed") if fact.HasField(name)]


def _summary(key: AssetCheckKey, executions: Iterable[pb.CheckExecution]) -> Any:
    from dagster._core.storage.event_log.base import AssetCheckSummaryRecord

    records = [check_record(key, it) for it in executions]
    completed = [it for it in records if STATUSES[it.status] in _COMPLETED]
    return AssetCheckSummaryRecord(
        asset_check_key=key,
        last_check_execution_record=records[0] if records else None,
        last_run_id=records[0].run_id if records else None,
        last_completed_check_execution_record=completed[0] if completed else None,
    )


#: Every abstract method that is not written above refuses, whichever of them this version of Dagster has.
new_event_storage = refuse_the_rest(KnowingEventStorage, of=EventLogStorage)
