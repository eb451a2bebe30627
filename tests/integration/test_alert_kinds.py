"""Each kind of alert, out of the rows that the system keeps of what it tells: told once, and of nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from integration.alert_world import World, opened, policy
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_control_plane import clock, history
from isthmus_store import dead_letters, events, instigators, locations, placements, runs, ticks
from isthmus_store.record.automation import Defined, InstigatorKey, TickEnd
from isthmus_store.record.dead_letter import NewDeadLetter
from isthmus_store.record.location import PlacementReport, WantedLocation
from isthmus_store.record.run import NewRun
from isthmus_store.signal import CancelRequested
from isthmus_store.state import AgentState, BackfillState, InstigatorKind, LocationPhase, TickStatus
from isthmus_store.table.backfill import BACKFILLS

Doing = Callable[[World], Awaitable[object]]
WAITING = "00000000-0000-4000-8000-999999999999"


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with opened(database_url) as world:
        yield world


async def wait(world: World) -> None:
    """Have a run wait in the queue."""
    new = NewRun(
        run_id=WAITING, deployment="prod", location="etl", job_name="nightly", request=b"", queued_at=world.now
    )
    async with world.database.write() as tx:
        await runs.insert(tx, new)


async def cancel(world: World) -> None:
    await wait(world)
    async with world.database.write() as tx:
        run = (await runs.signal(tx, WAITING, CancelRequested(requested_by="ada"), at=world.now)).run
        await history.append(tx, run.ref, news=[history.canceled(run, at=world.now)], at=world.now)


async def tell(world: World, *said: telemetry.Event) -> None:
    """Have a run tell of assets."""
    run_id = await world.begun()
    for seq, event in enumerate(said, start=1):
        event.seq = seq
        event.occurred_at.CopyFrom(clock.stamp(world.now))
    async with world.database.write() as tx:
        await events.append(tx, run_id, attempt=1, events=[events.new_event(it) for it in said], stored_at=world.now)


ORDERS = telemetry.AssetKey(path=["orders"])


async def materialize(world: World) -> None:
    await tell(world, telemetry.Event(asset_materialized=telemetry.AssetMaterialized(asset=ORDERS)))


async def fail_asset(world: World) -> None:
    await tell(world, telemetry.Event(asset_failed=telemetry.AssetFailed(asset=ORDERS)))


def check(severity: "telemetry.CheckSeverity.ValueType") -> Doing:
    async def do(world: World) -> None:
        said = telemetry.AssetCheckEvaluated(asset=ORDERS, check_name="whole", severity=severity, is_passed=False)
        await tell(world, telemetry.Event(asset_check_evaluated=said))

    return do


def fail_ticks(kind: InstigatorKind, number: int) -> Doing:
    async def do(world: World) -> None:
        key = InstigatorKey("prod", "etl", kind, "each")
        async with world.database.write() as tx:
            await instigators.define(tx, [Defined(key=key, definition="d", is_running_by_default=True)], at=world.now)
            it = await instigators.get(tx, key)
            assert it is not None
            for turn in range(number):
                at = world.now + timedelta(seconds=turn)
                (tick,) = await ticks.begin(tx, {it.id: at}, at=at)
                await ticks.end(tx, tick, TickEnd(status=TickStatus.FAILED), at=at)

    return do


async def break_location(world: World) -> None:
    wanted = WantedLocation(deployment="prod", name="etl", pool="default", settings=b"")
    report = PlacementReport(
        generation=1, phase=LocationPhase.FAILED, serving_generation=0, failure=b"", snapshot_hash="", framework="",
        python_version="", reported_at=world.now,
    )  # fmt: skip
    async with world.database.write() as tx:
        await locations.apply(tx, wanted, at=world.now)
        placed = await placements.place(tx, deployment="prod", location="etl", agent="lab", at=world.now)
        await placements.save(tx, placements.reported(placed, report))


async def lose_agent(world: World) -> None:
    await world.set_agent(AgentState.LOST)


async def drop_letter(world: World) -> None:
    letter = NewDeadLetter(
        received_at=world.now, queue="q", reason="rejected", instruction_id="", sender="", body=b"\xff"
    )
    async with world.database.write() as tx:
        await dead_letters.add(tx, letter)


async def age(world: World) -> None:
    await world.succeeded()
    world.now += timedelta(days=100)


async def backfill(world: World, *, paused_at: Any = None) -> None:
    async with world.database.write() as tx:
        made = tx.insert(BACKFILLS).values(
            deployment="prod", backfill_id="abcdefgh", location="etl", job_name="nightly", request=b"", plan=b"",
            state=BackfillState.RUNNING, max_runs=1, requested_by="", parent_id="", root_id="abcdefgh",
            created_at=world.now, paused_at=paused_at, paused_by="",
        )  # fmt: skip
        await tx.execute(made)


async def paused_backfill(world: World) -> None:
    await backfill(world, paused_at=world.now)


CASES: dict[str, tuple[dict[str, Any], Doing]] = {
    "run.succeeded": ({}, World.succeeded),
    "run.failed": ({}, World.failed),
    "run.canceled": ({}, cancel),
    "run.long": ({"longer_than_s": 60}, World.begun),
    "run.waiting": ({"longer_than_s": 60}, wait),
    "asset.materialized": ({}, materialize),
    "asset.failed": ({}, fail_asset),
    "check.failed": ({}, check(telemetry.CHECK_SEVERITY_ERROR)),
    "check.warned": ({}, check(telemetry.CHECK_SEVERITY_WARN)),
    "schedule.failed": ({"after": 2}, fail_ticks(InstigatorKind.SCHEDULE, 2)),
    "sensor.failed": ({}, fail_ticks(InstigatorKind.SENSOR, 1)),
    "location.failed": ({}, break_location),
    "agent.lost": ({}, lose_agent),
    "dead_letters": ({}, drop_letter),
    "retention.behind": ({}, age),
    "backfill.stalled": ({"longer_than_s": 60}, backfill),
}


@pytest.mark.parametrize("kind", CASES)
async def test_what_happens_or_lasts_is_told_once_by_the_policy_that_asks_for_it(world: World, kind: str) -> None:
    said, do = CASES[kind]
    others = [it for it in CASES if it != kind]
    await world.sync(
        policy(on=[kind], **said),
        policy(name="others", on=others, longer_than_s=60, after=2, recovery=False),
    )
    await do(world)
    for _ in range(3):
        await world.look(after_s=70)
    assert [it.kind for it in await world.told() if it.policy == "p"] == [kind]


@pytest.mark.parametrize(
    ("said", "do"),
    [
        pytest.param({"on": ["schedule.failed"], "after": 3}, fail_ticks(InstigatorKind.SCHEDULE, 2), id="too few ticks"),
        pytest.param({"on": ["run.waiting"], "longer_than_s": 3600}, wait, id="not for long enough"),
        pytest.param({"on": ["backfill.stalled"], "longer_than_s": 60}, paused_backfill, id="a backfill that is paused"),
        pytest.param({"on": ["location.failed"], "locations": ["other"]}, break_location, id="another location"),
        pytest.param({"on": ["disk.low"], "below_percent": 1e-9}, lose_agent, id="room enough"),
    ],
)  # fmt: skip
async def test_what_a_policy_does_not_ask_for_is_not_told(world: World, said: dict[str, Any], do: Doing) -> None:
    await world.sync(policy(**said))
    await do(world)
    for _ in range(3):
        await world.look(after_s=70)
    assert await world.told() == []


async def test_a_disk_with_less_room_than_asked_for_is_told_once(world: World) -> None:
    await world.sync(policy(on=["disk.low"], below_percent=100))
    for _ in range(3):
        await world.look(after_s=70)
    assert [it.kind for it in await world.told()] == ["disk.low"]
