"""What user code is told of pools, in Dagster's words."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster._utils.concurrency import ConcurrencySlotStatus
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.instance_pb2 import InstanceAnswer, InstanceQuery, PoolFact, PoolFacts, PoolSlot
from isthmus_code_server.definitions.dagster.asked.known_events import new_event_storage
from isthmus_code_server.definitions.dagster.asked.store_query import StoreQuery
from isthmus_code_server.definitions.instance_client import InstanceClient
from isthmus_code_server.runs.instance_gate import InstanceGate
from support_instance import attached

AT = datetime(2026, 7, 1, 12, tzinfo=UTC)


def slot(run_id: str, step_key: str = "load", *, has_slot: bool = True) -> PoolSlot:
    at = Timestamp()
    at.FromDatetime(AT)
    return PoolSlot(run_id=run_id, step_key=step_key, priority=3, wanted_at=at, granted_at=at if has_slot else None)


STANDS = {
    "db": PoolFact(pool="db", limit=2, slots=[slot("a"), slot("b", has_slot=False)]),
    "gpu": PoolFact(pool="gpu", limit=1, is_default_limit=True, slots=[slot("c", "")]),
    "free": PoolFact(pool="free", slots=[slot("d")]),
}


def answer(query: InstanceQuery) -> InstanceAnswer:
    wanted = list(query.pools.pools) or sorted(STANDS)
    facts = PoolFacts(
        pools=[STANDS.get(name, PoolFact(pool=name)) for name in wanted],
        default_limit=1,
        is_of_steps=True,
        run_buffer=4,
    )
    return InstanceAnswer(pools=facts)


async def asked(gate: InstanceGate, question: Callable[[Any], Any]) -> Any:
    """Ask a storage, as user code does."""
    async with gate.listening(), attached(gate, answer, asked=[]):
        return await asyncio.to_thread(question, new_event_storage(StoreQuery(client=InstanceClient())))


async def test_a_pool_is_told_with_its_limit_and_who_has_slots_or_waits(gate: InstanceGate) -> None:
    info = await asked(gate, lambda storage: storage.get_concurrency_info("db"))
    assert (info.concurrency_key, info.slot_count, info.limit, info.using_default_limit) == ("db", 2, 2, False)
    assert [(it.run_id, it.step_key) for it in info.claimed_slots] == [("a", "load")]
    assert (info.active_run_ids, info.pending_run_ids, info.assigned_run_ids) == ({"a"}, {"b"}, {"a"})
    assert [(it.run_id, it.enqueued_timestamp, it.assigned_timestamp, it.priority) for it in info.pending_steps] == [
        ("a", AT, AT, 3),
        ("b", AT, None, 3),
    ]


async def test_a_pool_that_nobody_uses_is_told_as_empty(gate: InstanceGate) -> None:
    info = await asked(gate, lambda storage: storage.get_concurrency_info("nobody"))
    assert (info.slot_count, info.limit, info.claimed_slots, info.pending_steps) == (0, None, [], [])


async def test_limits_are_told_where_there_are_any(gate: InstanceGate) -> None:
    keys, limits, settings, runs = await asked(
        gate,
        lambda storage: (
            storage.get_concurrency_keys(),
            storage.get_pool_limits(),
            storage.get_pool_config(),
            storage.get_concurrency_run_ids(),
        ),
    )
    assert keys == {"db", "gpu", "free"}
    assert [(it.name, it.limit, it.from_default) for it in limits] == [("db", 2, False), ("gpu", 1, True)]
    granularity = settings.pool_granularity.value
    assert (granularity, settings.default_pool_limit, settings.op_granularity_run_buffer) == ("op", 1, 4)
    assert runs == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("a", (ConcurrencySlotStatus.CLAIMED, AT, AT)),
        ("b", (ConcurrencySlotStatus.BLOCKED, None, AT)),
        ("z", (ConcurrencySlotStatus.BLOCKED, None, None)),
    ],
)
async def test_a_step_is_told_whether_it_has_its_slot(
    gate: InstanceGate, run_id: str, expected: tuple[Any, ...]
) -> None:
    status = await asked(gate, lambda storage: storage.check_concurrency_claim("db", run_id, "load"))
    assert (status.slot_status, status.assigned_timestamp, status.enqueued_timestamp) == expected
