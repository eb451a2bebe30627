"""What agents say of themselves and of their locations."""

import hashlib
from collections.abc import Awaitable

from integration.monitor.world import AGENT, World, beat, monitor, now
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event
from isthmus_broker.topology import TelemetryKind
from isthmus_store import agents, alerts, locations, placements, snapshots
from isthmus_store.record.location import WantedLocation
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, LocationPhase
from support.eventually import eventually


async def test_heartbeats_and_a_good_bye_move_the_agent(world: World) -> None:
    run = await world.dispatched()

    async def state() -> AgentState:
        return (await world.agent()).state

    async with monitor(world.settings()):
        await beat(world, run)
        await eventually(lambda: _is(state(), AgentState.ONLINE), within=10)
        agent = await world.agent()
        assert (agent.incarnation, agent.version, agent.desired_revision) == ("life-1", "0.1.0", 4)
        assert agent.active_runs == (run.ref,)
        await beat(world, is_draining=True)
        await eventually(lambda: _is(state(), AgentState.DRAINING), within=10)
        await world.publish(Event(agent_stopped=wire.AgentStopped()), source=AGENT, kind=TelemetryKind.HEARTBEAT)
        await eventually(lambda: _is(state(), AgentState.STOPPED), within=10)
        await beat(world, incarnation="life-2")
        await eventually(lambda: _is(state(), AgentState.ONLINE), within=10)
        # The good-bye of a life that is over already.
        await world.publish(Event(agent_stopped=wire.AgentStopped()), source=AGENT, kind=TelemetryKind.HEARTBEAT)
        await beat(world, run, incarnation="life-2")
        await eventually(lambda: _has_active(world, run), within=10)
    assert (await world.agent()).state is AgentState.ONLINE


async def _is(value: Awaitable[AgentState], wanted: AgentState) -> bool:
    return await value is wanted


async def _has_active(world: World, run: Run) -> bool:
    return (await world.agent()).active_runs == (run.ref,)


async def test_an_agent_told_to_drain_stays_so_though_it_has_not_read_that_yet(world: World) -> None:
    async with monitor(world.settings()):
        await beat(world)
        await eventually(lambda: _was_heard(world), within=10)
        async with world.database.write() as tx:
            await agents.set_state(tx, deployment="prod", name="lab", state=AgentState.DRAINING)
        run = await world.dispatched()
        await beat(world, run)
        await eventually(lambda: _has_active(world, run), within=10)
        assert (await world.agent()).state is AgentState.DRAINING
        await beat(world, incarnation="life-2")
        await eventually(lambda: _is_online(world), within=10)


async def _was_heard(world: World) -> bool:
    return (await world.agent()).last_heard_at is not None


async def _is_online(world: World) -> bool:
    return (await world.agent()).state is AgentState.ONLINE


async def test_location_reports_are_kept_with_their_snapshot(world: World) -> None:
    snapshot = wire.LocationSnapshot(jobs=[wire.JobSnapshot(name="nightly")])
    digest = hashlib.sha256(snapshot.SerializeToString(deterministic=True)).hexdigest()
    async with world.database.write() as tx:
        await locations.apply(tx, WantedLocation(deployment="prod", name="etl", pool="default", settings=b""), at=now())
        await placements.place(tx, deployment="prod", location="etl", agent="lab", at=now())
    serving = wire.LocationReport(
        location="etl",
        generation=1,
        phase=wire.LOCATION_PHASE_SERVING,
        serving_generation=1,
        snapshot_hash=digest,
        snapshot=snapshot,
        framework="dagster 1.13",
    )
    failing = wire.LocationReport(
        location="etl",
        generation=2,
        phase=wire.LOCATION_PHASE_FAILED,
        serving_generation=1,
        failure=wire.Failure(error_class="ImportError", message="no module"),
    )
    elsewhere = wire.LocationReport(location="unplaced", generation=1, phase=wire.LOCATION_PHASE_SERVING)
    async with monitor(world.settings()):
        reports = [Event(location_report=report) for report in (serving, elsewhere, failing)]
        await world.publish(*reports, source=AGENT, kind=TelemetryKind.LOCATION)
        await eventually(lambda: _has_phase(world, LocationPhase.FAILED), within=10)
    placement = await world.placement()
    assert (placement.generation, placement.serving_generation, placement.snapshot_hash) == (2, 1, digest)
    assert wire.Failure.FromString(placement.failure).message == "no module"
    async with world.database.read() as tx:
        assert await snapshots.get(tx, digest) == snapshot.SerializeToString(deterministic=True)
        (told,) = await alerts.recent(tx, deployment="prod")
    assert told.kind == "location.failed"


async def _has_phase(world: World, phase: LocationPhase) -> bool:
    return (await world.placement()).phase is phase
