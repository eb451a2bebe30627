"""The rows of assets, on both databases: what the newest events make of partitions and checks."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from isthmus.v1.telemetry_pb2 import AssetKey, Event
from isthmus_store import asset_state, event_index, events, runs
from isthmus_store.asset_state import AssetSummary, CheckState, PartitionsOf
from isthmus_store.database import Database
from isthmus_store.events import new_event
from isthmus_store.fact import asset_text
from isthmus_store.record.run import NewRun
from isthmus_store.retention import runs as retention
from isthmus_store.signal import Accepted, Dispatched, Failed, RunSignal, Succeeded
from isthmus_store.state import RunReason, RunState

ORDERS = asset_text(["orders"])


def told(kind: str, partition: str = "", **fields: Any) -> Event:
    event = Event()
    body = getattr(event, kind)
    body.asset.CopyFrom(AssetKey(path=["orders"]))
    body.partition = partition
    for name, value in fields.items():
        setattr(body, name, value)
    return event


async def a_run(database: Database, now: datetime) -> str:
    run_id = str(uuid4())
    new = NewRun(run_id=run_id, deployment="prod", location="etl", job_name="nightly", request=b"", queued_at=now)
    async with database.write() as tx:
        await runs.insert(tx, new)
        await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=now)
        await runs.signal(tx, run_id, Accepted(attempt=1), at=now)
    return run_id


async def say(database: Database, run_id: str, now: datetime, *said: Event) -> None:
    async with database.write() as tx:
        await events.append(tx, run_id, attempt=1, events=[new_event(it) for it in said], stored_at=now)


async def end(database: Database, run_id: str, now: datetime, how: RunSignal) -> None:
    async with database.write() as tx:
        await runs.signal(tx, run_id, how, at=now)


async def summary(database: Database) -> AssetSummary:
    async with database.read() as tx:
        return (await asset_state.summaries(tx, deployment="prod", assets=[ORDERS]))[ORDERS]


async def states(database: Database, **fields: Any) -> dict[str, str]:
    async with database.read() as tx:
        query = PartitionsOf(deployment="prod", asset=ORDERS, limit=100, **fields)
        found = await asset_state.partitions(tx, query)
    return {it.partition: _word(it) for it in found}


def _word(it: asset_state.PartitionState) -> str:
    return "running" if it.is_in_progress else "failed" if it.is_failed else "made" if it.materialized_id else "none"


async def test_a_partition_is_what_its_last_attempt_made_of_it(database: Database, now: datetime) -> None:
    first, second = await a_run(database, now), await a_run(database, now)
    await say(database, first, now, *(told("asset_planned", key) for key in "abcd"))
    assert set((await states(database)).values()) == {"running"}
    await say(database, first, now, told("asset_materialized", "a"), told("asset_failed", "b"))
    await say(database, second, now, told("asset_materialized", "d"))
    assert await states(database) == {"a": "made", "b": "failed", "c": "running", "d": "made"}
    await end(database, first, now, Failed(attempt=1, reason=RunReason.USER_ERROR, message="broke"))
    assert await states(database) == {"a": "made", "b": "failed", "c": "failed", "d": "made"}
    assert await states(database, is_failed_only=True) == {"b": "failed", "c": "failed"}
    await say(database, second, now, told("asset_planned", "b"))
    assert await states(database) == {"a": "made", "b": "running", "c": "failed", "d": "made"}
    assert await states(database, after="b") == {"c": "failed", "d": "made"}
    found = await summary(database)
    assert (found.materialized, found.failed, found.in_progress) == (2, 1, 1)


async def test_an_asset_without_partitions_counts_as_one_attempt(database: Database, now: datetime) -> None:
    run = await a_run(database, now)
    await say(database, run, now, told("asset_planned"), told("asset_failed"))
    found = await summary(database)
    assert (found.materialized, found.failed, found.materialized_id) == (0, 1, 0)
    await say(database, run, now, told("asset_materialized"), told("asset_observed"))
    found = await summary(database)
    assert (found.materialized, found.failed, found.in_progress) == (0, 0, 0)
    async with database.read() as tx:
        places = await asset_state.places(tx, [found.materialized_id, found.observed_id, 0])
        bodies = await asset_state.bodies(tx, [found.materialized_id])
    assert {it.run_id for it in places.values()} == {run}
    assert Event.FromString(bodies[found.materialized_id]).HasField("asset_materialized")


async def test_what_is_reported_from_outside_counts_too(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await event_index.add_runless(tx, told("asset_materialized", "a"), deployment="prod", at=now)
        await event_index.add_runless(tx, told("asset_materialized", "a"), deployment="stage", at=now)
    found = await summary(database)
    assert found.materialized == 1
    async with database.read() as tx:
        assert (await asset_state.places(tx, [found.materialized_id]))[found.materialized_id].run_id == ""


async def test_a_check_is_what_its_newest_plan_or_evaluation_says(database: Database, now: datetime) -> None:
    run = await a_run(database, now)
    await say(database, run, now, told("asset_check_planned", check_name="whole"))
    assert [it.run_state for it in await _checks(database)] == [RunState.STARTING]
    await say(database, run, now, told("asset_check_evaluated", check_name="whole", is_passed=True))
    (found,) = await _checks(database)
    assert found.evaluated_id > found.planned_id
    assert found.run_state is None


async def test_state_outlives_the_run_that_made_it(database: Database, now: datetime) -> None:
    run = await a_run(database, now)
    await say(database, run, now, told("asset_planned", "a"), told("asset_materialized", "a"))
    await end(database, run, now, Succeeded(attempt=1))
    async with database.write() as tx:
        assert await retention.remove(tx, [run], ended_before=now + timedelta(days=1)) == 1
    found = await summary(database)
    assert (found.materialized, found.failed, found.in_progress) == (1, 0, 0)
    async with database.read() as tx:
        assert found.materialized_id in await asset_state.bodies(tx, [found.materialized_id])


@pytest.mark.parametrize("count", [1, 2500])
async def test_many_partitions_in_one_batch_are_all_kept(database: Database, now: datetime, count: int) -> None:
    run = await a_run(database, now)
    keys = [f"{number:05}" for number in range(count)]
    await say(database, run, now, *_planned_and_made(keys))
    assert (await summary(database)).materialized == count


def _planned_and_made(keys: Iterable[str]) -> list[Event]:
    return [told(kind, key) for key in keys for kind in ("asset_planned", "asset_materialized")]


async def _checks(database: Database) -> list[CheckState]:
    async with database.read() as tx:
        return await asset_state.checks(tx, deployment="prod", assets=[ORDERS])
