"""Dagster's account of pools, from what the control plane knows of limits, and of who has slots or waits for them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dagster._utils.concurrency import (
    ClaimedSlotInfo,
    ConcurrencyClaimStatus,
    ConcurrencyKeyInfo,
    ConcurrencySlotStatus,
    PendingStepInfo,
)
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import instance_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.store_query import StoreQuery


class PoolRecords:
    """The part of an event log storage that is about pools. What changes them is set at the control plane alone."""

    _store: StoreQuery

    def get_concurrency_keys(self) -> set[str]:
        """Return the pools that are limited by name, and those that are used."""
        return {it.pool for it in self._store.pools().pools}

    def get_pool_limits(self) -> Sequence[Any]:
        """Return the limit of each of these pools that has one."""
        from dagster._core.storage.event_log.base import PoolLimit

        facts = self._store.pools().pools
        return [
            PoolLimit(name=it.pool, limit=it.limit, from_default=it.is_default_limit)
            for it in facts
            if it.HasField("limit")
        ]

    def get_pool_config(self) -> Any:
        """Return who holds slots, and how many a pool has that is not limited by name."""
        from dagster._core.instance.config import PoolConfig, PoolGranularity

        facts = self._store.pools()
        return PoolConfig(
            pool_granularity=PoolGranularity.OP if facts.is_of_steps else PoolGranularity.RUN,
            default_pool_limit=facts.default_limit if facts.HasField("default_limit") else None,
            op_granularity_run_buffer=facts.run_buffer,
        )

    def get_concurrency_info(self, concurrency_key: str) -> ConcurrencyKeyInfo:
        """Return how a pool stands."""
        return self.get_concurrency_infos([concurrency_key])[concurrency_key]

    def get_concurrency_infos(self, concurrency_keys: Sequence[str]) -> Mapping[str, ConcurrencyKeyInfo]:
        """Return how pools stand."""
        keys = list(dict.fromkeys(concurrency_keys))
        return {it.pool: _info(it) for it in self._store.pools(keys).pools} if keys else {}

    def get_concurrency_run_ids(self) -> set[str]:
        """Return the runs that have slots or wait for some."""
        return {slot.run_id for it in self._store.pools().pools for slot in it.slots}

    def check_concurrency_claim(self, concurrency_key: str, run_id: str, step_key: str) -> ConcurrencyClaimStatus:
        """Tell whether a step has a slot of a pool."""
        slots = [slot for it in self._store.pools([concurrency_key]).pools for slot in it.slots]
        found = next((it for it in slots if (it.run_id, it.step_key) == (run_id, step_key)), None)
        has_slot = found is not None and found.HasField("granted_at")
        return ConcurrencyClaimStatus(
            concurrency_key=concurrency_key,
            slot_status=ConcurrencySlotStatus.CLAIMED if has_slot else ConcurrencySlotStatus.BLOCKED,
            priority=found.priority if found is not None else None,
            assigned_timestamp=_moment(found.granted_at) if found is not None and has_slot else None,
            enqueued_timestamp=_moment(found.wanted_at) if found is not None else None,
        )


def _info(fact: pb.PoolFact) -> ConcurrencyKeyInfo:
    has_limit = fact.HasField("limit")
    fields: dict[str, Any] = {
        "concurrency_key": fact.pool,
        "slot_count": fact.limit if has_limit else 0,
        "claimed_slots": [
            ClaimedSlotInfo(run_id=it.run_id, step_key=it.step_key) for it in fact.slots if it.HasField("granted_at")
        ],
        "pending_steps": [_pending(it) for it in fact.slots],
        "limit": fact.limit if has_limit else None,
        "using_default_limit": fact.is_default_limit,
    }
    make: Any = ConcurrencyKeyInfo
    known = getattr(make, "__annotations__", fields)
    # Older versions of Dagster tell less.
    info: ConcurrencyKeyInfo = make(**{name: value for name, value in fields.items() if name in known})
    return info


def _pending(slot: pb.PoolSlot) -> PendingStepInfo:
    """Return a step that asked; Dagster keeps it among those that wait when it has its slot, and says since when."""
    return PendingStepInfo(
        run_id=slot.run_id,
        step_key=slot.step_key,
        enqueued_timestamp=_moment(slot.wanted_at),
        assigned_timestamp=_moment(slot.granted_at) if slot.HasField("granted_at") else None,
        priority=slot.priority,
    )


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
