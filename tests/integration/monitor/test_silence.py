"""Leases, silence, deafness: with a real broker, and patience of seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from integration.monitor.world import World, beat, event, heartbeat, monitor
from isthmus.v1 import telemetry_pb2 as wire
from isthmus_broker.publisher import Publisher
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_store import alerts
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, RunReason, RunState
from support.eventually import eventually
from support.tcp_proxy import TcpProxy

IMPATIENT = {"lease_ttl_s": 1.0, "agent_lost_after_s": 1.0, "agent_gone_after_s": 3.0}


@asynccontextmanager
async def beating(world: World, *active: Run) -> AsyncIterator[None]:
    """The agent beats four times a second, vouching for these runs."""
    stop = asyncio.Event()

    async def beats() -> None:
        async with Publisher(world.broker) as publisher:
            await publisher.wait_connected()
            said, source = heartbeat(*active)
            while not stop.is_set():
                await TelemetryPublisher(publisher, source=source).publish(TelemetryKind.HEARTBEAT, [said])
                try:
                    async with asyncio.timeout(0.25):
                        await stop.wait()
                except TimeoutError:
                    continue

    async with asyncio.TaskGroup() as group:
        group.create_task(beats())
        try:
            yield
        finally:
            stop.set()


async def test_a_run_that_nobody_vouches_for_is_lost_and_its_neighbour_lives(world: World) -> None:
    lost, alive = await world.accepted(), await world.accepted()
    async with monitor(world.settings(**IMPATIENT)), beating(world, alive):
        await eventually(world.until_state(lost, RunState.FAILED), within=15)
    assert (await world.run(lost)).reason is RunReason.WORKER_LOST
    assert [stored.kind for stored in await world.history(lost)] == ["run_failed"]
    assert (await world.run(alive)).state is RunState.STARTING


async def test_a_silent_agent_is_lost_and_later_its_runs_are_given_up(world: World) -> None:
    run = await world.accepted()
    async with monitor(world.settings(**IMPATIENT)):
        await beat(world, run)
        await eventually(lambda: _is_lost(world), within=15)
        assert (await world.run(run)).state is RunState.STARTING
        await eventually(world.until_state(run, RunState.FAILED), within=15)
    assert (await world.run(run)).reason is RunReason.AGENT_LOST
    async with world.database.read() as tx:
        assert {told.kind for told in await alerts.recent(tx, deployment="prod")} == {"agent.lost", "run.failed"}


async def _is_lost(world: World) -> bool:
    return (await world.agent()).state is AgentState.LOST


async def test_a_launch_that_still_waits_at_its_agent_has_no_lease(world: World) -> None:
    waiting, lost = await world.dispatched(), await world.accepted()
    async with monitor(world.settings(**IMPATIENT)), beating(world):
        await eventually(world.until_state(lost, RunState.FAILED), within=15)
    assert (await world.run(waiting)).state is RunState.DISPATCHED


async def test_time_without_a_broker_expires_no_lease(world: World) -> None:
    run = await world.accepted()
    marker = await world.accepted()
    parts = urlsplit(world.broker.url)
    loop = asyncio.get_running_loop()
    async with TcpProxy.to(parts.hostname or "", parts.port or 5672) as proxy:
        settings = world.settings(**IMPATIENT, broker_url=proxy.url_for(world.broker.url))
        async with monitor(settings):
            await world.publish(event(run, 1, run_started=wire.RunStarted()))
            await eventually(world.until_state(run, RunState.RUNNING), within=10)
            proxy.refuse()
            # Longer than any patience: what would be given up is given up by now.
            deaf_until = loop.time() + 4.5
            await eventually(lambda: loop.time() > deaf_until, within=6)
            proxy.resume()
            async with beating(world, run):
                await eventually(world.until_state(marker, RunState.FAILED), within=15)
    assert (await world.run(run)).state is RunState.RUNNING
