"""The control plane's part in removal: who leads, in which parts, and what it does beside telemetry that comes in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from isthmus_control_plane.core import Core
from isthmus_control_plane.leadership.leader import LEASE, Leadership
from isthmus_control_plane.retention.sweeper import Sweeper
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_store import agents, alerts, dead_letters, events, leases, locations, placements, runs, snapshots
from isthmus_store.database import Database
from isthmus_store.errors import LeaseLostError
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.alert import NewAlert
from isthmus_store.record.dead_letter import NewDeadLetter
from isthmus_store.record.event import NewEvent
from isthmus_store.record.location import WantedLocation
from isthmus_store.record.run import NewRun
from isthmus_store.retention import runs as old_runs
from isthmus_store.signal import Dispatched, Succeeded
from isthmus_store.table.catalog import SCHEMA
from isthmus_store.table.event import EVENTS
from isthmus_store.table.leadership import LEASES
from sqlalchemy import func, select, update
from support.eventually import eventually

NOW = datetime(2030, 5, 17, tzinfo=UTC)


class Plane:
    """One control plane, as far as removal goes."""

    def __init__(self, database: Database, **settings: object) -> None:
        values = {"broker_url": "amqp://nowhere", "database_url": "sqlite:///nowhere", **settings}
        self.core = Core(ControlPlaneSettings.model_validate(values), database=database, hub=WakeHub())
        self.monotonic = 0.0
        self.at = NOW
        self.leadership = Leadership(database, name=LEASE, duration_s=3600, monotonic=lambda: self.monotonic)
        self.sweeper = Sweeper(self.core, leadership=self.leadership, at=lambda: self.at, share=1.0)


OpenPlane = Callable[..., Awaitable[Plane]]


@pytest.fixture
async def open_plane(database_url: str) -> AsyncIterator[OpenPlane]:
    """Open control planes over one database, each with connections of its own."""
    async with AsyncExitStack() as stack:

        async def open_one(**settings: object) -> Plane:
            database = await stack.enter_async_context(Database.open(database_url))
            await database.migrate()
            return Plane(database, **settings)

        yield open_one


def leads(plane: Plane) -> bool:
    return plane.leadership.is_held


async def ended_run(database: Database, number: int, *, at: datetime, said: int = 3) -> str:
    run_id = f"00000000-0000-4000-8000-{number:012}"
    new = NewRun(run_id=run_id, deployment="prod", location="etl", job_name="job", request=b"", queued_at=at)
    told = [NewEvent(seq=0, kind="log_message", step_key="", occurred_at=at, body=b"x") for _ in range(said)]
    async with database.write() as tx:
        await runs.insert(tx, new)
        await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=at)
        await events.append(tx, run_id, attempt=1, events=told, stored_at=at)
        await runs.signal(tx, run_id, Succeeded(attempt=1), at=at)
    return run_id


async def counts(database: Database) -> dict[str, int]:
    async with database.read() as tx:
        return {
            table.name: (await tx.execute(select(func.count()).select_from(table))).scalar_one()
            for table in SCHEMA.sorted_tables
        }


async def test_only_the_leader_removes_and_its_successor_after_it_died(open_plane: OpenPlane) -> None:
    first = await open_plane()
    second = await open_plane()
    database = first.core.database
    await ended_run(database, 1, at=NOW - timedelta(days=91))
    await first.leadership.step()
    await second.leadership.step()
    assert (leads(first), leads(second)) == (True, False)
    assert not any((await second.sweeper.round()).values())
    # The first dies: its lease is over by the database's clock.
    async with database.write() as tx:
        await tx.execute(update(LEASES).values(expires_at=await leases.now(tx)))
    await second.leadership.step()
    assert leads(second)
    # It was not dead, and does not know yet.
    assert leads(first)
    assert not any((await first.sweeper.round()).values())
    assert not leads(first)
    assert (await second.sweeper.round())["runs"] == 1


async def test_a_leader_that_stood_still_does_not_even_ask(open_plane: OpenPlane) -> None:
    plane = await open_plane()
    await plane.leadership.step()
    plane.monotonic += 3600
    assert not leads(plane)
    with pytest.raises(LeaseLostError):
        async with plane.leadership.write():
            pass
    await plane.leadership.step()
    assert leads(plane)


async def test_a_leader_that_stops_makes_way_at_once(open_plane: OpenPlane) -> None:
    first = await open_plane()
    second = await open_plane()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.leadership.run(first.core.hub.stopping))
        await eventually(lambda: leads(first), within=5)
        first.core.hub.stop()
    await second.leadership.step()
    assert leads(second)


async def test_small_runs_go_together_and_a_large_one_bit_by_bit(open_plane: OpenPlane) -> None:
    plane = await open_plane()
    database = plane.core.database
    for number in range(30):
        await ended_run(database, number, at=NOW - timedelta(days=91, minutes=number))
    await ended_run(database, 100, at=NOW - timedelta(days=92), said=6_000)
    kept = await ended_run(database, 101, at=NOW - timedelta(days=89))
    await plane.leadership.step()
    assert (await plane.sweeper.round())["runs"] == 31
    async with database.read() as tx:
        left = set((await tx.execute(select(EVENTS.c.run_id))).scalars())
    assert left == {kept}
    assert (await counts(database))["removed_runs"] == 0


async def test_a_successor_finishes_what_a_leader_left_half_removed(open_plane: OpenPlane) -> None:
    plane = await open_plane()
    database = plane.core.database
    run_id = await ended_run(database, 1, at=NOW - timedelta(days=91), said=500)
    async with database.write() as tx:
        assert not await old_runs.remove_part(tx, run_id, ended_before=NOW, rows=1000)
    await plane.leadership.step()
    await plane.sweeper.round()
    left = await counts(database)
    assert (left["events"], left["removed_runs"]) == (0, 0)


async def test_zero_days_remove_nothing(open_plane: OpenPlane) -> None:
    plane = await open_plane(keep_runs_days=0)
    await ended_run(plane.core.database, 1, at=NOW - timedelta(days=9999))
    await plane.leadership.step()
    assert not any((await plane.sweeper.round()).values())


async def test_alerts_letters_generations_and_snapshots_go_by_their_own_rules(
    open_plane: OpenPlane,
) -> None:
    plane = await open_plane(keep_generations=2, keep_dead_letters=3)
    old, database = NOW - timedelta(days=400), plane.core.database
    async with database.write() as tx:
        for number, endpoints in enumerate(([], ["open"])):
            alert = NewAlert(
                id=str(number), kind="run.failed", deployment="prod", subject="s", payload="{}", created_at=old
            )
            await alerts.add(tx, alert, endpoints=endpoints)
        for number in range(6):
            letter = NewDeadLetter(
                received_at=old if number == 0 else NOW, queue="q", reason="r", instruction_id="", sender="", body=b""
            )
            await dead_letters.add(tx, letter)
        for number in range(5):
            await locations.apply(
                tx, WantedLocation(deployment="prod", name="etl", pool="default", settings=str(number).encode()), at=old
            )
        await agents.insert(tx, NewAgent(deployment="prod", name="lab", pool="default", broker_user="", created_at=old))
        await snapshots.put(tx, snapshot_hash="idle", body=b"x", at=old)
        await snapshots.put(tx, snapshot_hash="back", body=b"x", at=old)
    await plane.leadership.step()
    removed = await plane.sweeper.round()
    assert (removed["alerts"], removed["dead_letters"], removed["generations"]) == (1, 3, 3)
    # Nothing refers to either since now; one is used again before its time is over.
    assert removed["snapshots"] == 0
    async with database.write() as tx:
        placed = await placements.place(tx, deployment="prod", location="etl", agent="lab", at=NOW)
        await placements.save(tx, replace(placed, snapshot_hash="back"))
    plane.at += timedelta(days=8)
    assert (await plane.sweeper.round())["snapshots"] == 1
    async with database.read() as tx:
        assert await snapshots.known(tx, ["idle", "back"]) == {"back"}


async def test_telemetry_that_comes_with_the_removal_is_stored_before_it_or_finds_no_run(
    open_plane: OpenPlane,
) -> None:
    plane = await open_plane()
    writer = await open_plane()
    database = plane.core.database
    run_ids = [await ended_run(database, number, at=NOW - timedelta(days=91)) for number in range(40)]
    late = NewEvent(seq=0, kind="log_message", step_key="", occurred_at=NOW, body=b"late")

    async def tell() -> int:
        stored = 0
        for run_id in reversed(run_ids):
            async with writer.core.database.write() as tx:
                if await runs.lock(tx, [run_id]):
                    await events.append(tx, run_id, attempt=1, events=[late], stored_at=NOW)
                    stored += 1
        return stored

    await plane.leadership.step()
    async with asyncio.TaskGroup() as tasks:
        told = tasks.create_task(tell())
        tasks.create_task(plane.sweeper.round())
    assert told.done()
    await plane.sweeper.round()
    left = await counts(database)
    assert (left["runs"], left["events"], left["run_attempts"]) == (0, 0, 0)
