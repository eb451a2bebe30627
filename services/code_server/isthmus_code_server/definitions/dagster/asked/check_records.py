"""Dagster's records of asset checks, from what the control plane knows of their executions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dagster import AssetCheckKey
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)
from isthmus.v1 import instance_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.rebuild import entry_of
from isthmus_code_server.definitions.dagster.asked.store_query import StoreQuery

_Status = AssetCheckExecutionRecordStatus
#: As the contract has them.
STATUSES: Mapping[AssetCheckExecutionRecordStatus, "pb.CheckExecutionsQuery.Status.ValueType"] = {
    _Status.PLANNED: pb.CheckExecutionsQuery.STATUS_PLANNED,
    _Status.SUCCEEDED: pb.CheckExecutionsQuery.STATUS_SUCCEEDED,
    _Status.FAILED: pb.CheckExecutionsQuery.STATUS_FAILED,
}
_FROM_WIRE = {number: status for status, number in STATUSES.items()}
_COMPLETED = frozenset({_Status.SUCCEEDED, _Status.FAILED})


class CheckRecords:
    """The part of an event log storage that is about checks."""

    _store: StoreQuery

    def get_asset_check_execution_history(  # the signature is Dagster's
        self,
        check_key: AssetCheckKey,
        limit: int,
        cursor: int | None = None,
        status: Iterable[AssetCheckExecutionRecordStatus] | None = None,
        partition_filter: Any = None,
    ) -> Sequence[AssetCheckExecutionRecord]:
        """Return a check's executions, newest first."""
        query = _query([check_key], status=status, partition_filter=partition_filter)
        query.before_id = cursor or 0
        return [check_record(check_key, it) for it in self._store.check_executions(query, limit=limit)]

    def get_latest_asset_check_execution_by_key(
        self, check_keys: Sequence[AssetCheckKey], partition_filter: Any = None
    ) -> Mapping[AssetCheckKey, AssetCheckExecutionRecord]:
        """Return the last execution of each check."""
        return self._latest(check_keys, partition_filter=partition_filter)

    def get_asset_check_summary_records(self, asset_check_keys: Sequence[AssetCheckKey]) -> Mapping[AssetCheckKey, Any]:
        """Return the last execution and the last completed one of each check."""
        from dagster._core.storage.event_log.base import AssetCheckSummaryRecord

        latest = self._latest(asset_check_keys)
        completed = self._latest(asset_check_keys, status=_COMPLETED)
        return {
            key: AssetCheckSummaryRecord(
                asset_check_key=key,
                last_check_execution_record=latest.get(key),
                last_run_id=latest[key].run_id if key in latest else None,
                last_completed_check_execution_record=completed.get(key),
            )
            for key in asset_check_keys
        }

    def _latest(
        self,
        keys: Sequence[AssetCheckKey],
        *,
        status: Iterable[AssetCheckExecutionRecordStatus] | None = None,
        partition_filter: Any = None,
    ) -> dict[AssetCheckKey, AssetCheckExecutionRecord]:
        if not keys:
            return {}
        query = _query(keys, status=status, partition_filter=partition_filter)
        query.limit = 1
        by_names = {(tuple(key.asset_key.path), key.name): key for key in keys}
        found: dict[AssetCheckKey, AssetCheckExecutionRecord] = {}
        for it in self._store.latest_check_executions(query):
            key = by_names[tuple(it.check.asset.path), it.check.check_name]
            found[key] = check_record(key, it)
        return found


def _query(
    keys: Sequence[AssetCheckKey], *, status: Iterable[AssetCheckExecutionRecordStatus] | None, partition_filter: Any
) -> pb.CheckExecutionsQuery:
    query = pb.CheckExecutionsQuery(statuses=[STATUSES[it] for it in status or ()])
    for key in keys:
        check = query.checks.add(check_name=key.name)
        check.asset.path.extend(key.asset_key.path)
    if partition_filter is not None:
        query.partition = partition_filter.key or ""
    return query


def check_record(key: AssetCheckKey, it: pb.CheckExecution) -> AssetCheckExecutionRecord:
    """Return Dagster's record of an execution."""
    event = it.event.event
    body = event.asset_check_evaluated if event.HasField("asset_check_evaluated") else event.asset_check_planned
    make: Any = AssetCheckExecutionRecord
    fields = {
        "key": key,
        "id": it.id,
        "run_id": event.run.run_id,
        "status": _FROM_WIRE[it.status],
        "event": entry_of(it.event),
        "create_timestamp": event.occurred_at.ToMicroseconds() / 1e6,
    }
    if "partition" in make._fields:
        fields["partition"] = body.partition or None
    record: AssetCheckExecutionRecord = make(**fields)
    return record
