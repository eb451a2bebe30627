"""What one agent says waits in a queue of its own: one that floods waits behind itself, and nobody else does."""

import asyncio
from collections.abc import Sequence

import pytest
from aiormq.exceptions import ChannelNotFoundEntity
from integration.monitor.world import AGENT, CODE_SERVER, OWN_QUEUE, World, event, life, monitor, now
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event, Source
from isthmus_broker.declaring import declare, declare_agent, remove_agent
from isthmus_broker.link import connect
from isthmus_broker.notices import Notice, NoticePublisher
from isthmus_broker.publisher import Publisher
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import (
    TELEMETRY,
    TelemetryKind,
    agent_telemetry_queue,
    monitor_queue,
)
from isthmus_monitor.alert import AGENT_LOST
from isthmus_store import agents, alerts
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, RunState
from support.eventually import eventually

#: So many events the one that floods has sent before the other says a word.
FLOOD, BATCH = 200_000, 500
QUIET = Source(deployment="prod", agent="quiet", location="etl")


async def add_agent(world: World, name: str) -> None:
    await declare_agent(world.broker, deployment="prod", agent=name)
    new = NewAgent(deployment="prod", name=name, pool="default", broker_user="", created_at=now())
    async with world.database.write() as tx:
        await agents.insert(tx, new)


def log_lines(run: Run, numbers: Sequence[int]) -> list[Event]:
    return [event(run, number, log_message=wire.LogMessage(level=20)) for number in numbers]


async def flood(world: World, run: Run, *, count: int = FLOOD) -> None:
    async with Publisher(world.broker) as publisher:
        await publisher.wait_connected()
        telemetry = TelemetryPublisher(publisher, source=CODE_SERVER)
        for first in range(1, count, BATCH):
            await telemetry.publish(TelemetryKind.RUN, log_lines(run, range(first, first + BATCH)))


async def test_a_run_beside_a_flood_is_stored_long_before_the_flood_is(world: World) -> None:
    await add_agent(world, "quiet")
    loud, quiet = await world.dispatched(), await world.dispatched(agent="quiet")
    await flood(world, loud)
    async with monitor(world.settings()):
        await eventually(lambda: _has_stored(world, loud, 1), within=20)
        await world.publish(*life(quiet, steps=18), source=QUIET)
        await eventually(world.until_state(quiet, RunState.SUCCEEDED), within=20)
        stored = (await world.run(loud)).last_position
        assert stored < FLOOD / 2, f"{stored} events of the flood were stored before"
        assert (await world.run(quiet)).last_position == 20


async def test_an_agent_is_not_lost_behind_its_own_flood(world: World) -> None:
    loud = await world.dispatched()
    beat = Event(agent_heartbeat=wire.AgentHeartbeat(version="0.1.0"))
    async with monitor(world.settings()):
        await world.publish(beat, kind=TelemetryKind.HEARTBEAT, source=AGENT)
        await eventually(lambda: _is_in(world, AgentState.ONLINE), within=10)
    await flood(world, loud, count=FLOOD // 2)
    await world.publish(beat, kind=TelemetryKind.HEARTBEAT, source=AGENT)
    async with monitor(world.settings(agent_lost_after_s=5.0)), asyncio.TaskGroup() as tasks:
        beating = tasks.create_task(_beat_on(world, beat))
        await eventually(lambda: _has_stored(world, loud, FLOOD // 2), within=90)
        beating.cancel()
    async with world.database.read() as tx:
        assert AGENT_LOST not in {alert.kind for alert in await alerts.recent(tx, deployment="prod")}


async def _beat_on(world: World, beat: Event) -> None:
    """Say again and again that the agent is there, as it does while what it said before is stored."""
    while True:
        await world.publish(beat, kind=TelemetryKind.HEARTBEAT, source=AGENT)
        await asyncio.sleep(0.2)


async def _is_in(world: World, state: AgentState) -> bool:
    return (await world.agent()).state is state


async def _has_stored(world: World, run: Run, count: int) -> bool:
    return (await world.run(run)).last_position >= count


async def test_what_waits_from_an_earlier_release_is_stored_first(world: World) -> None:
    run = await world.dispatched()
    course = life(run, steps=40)
    async with await connect(world.broker) as connection, connection.channel() as channel:
        # As earlier releases had it: one queue for all.
        await channel.queue_delete(OWN_QUEUE)
        shared = await channel.get_queue(monitor_queue(0), ensure=False)
        await shared.bind(TELEMETRY, routing_key="#")
    for said in course[:30]:
        await world.publish(said)
    await declare(world.broker, monitor_shards=1)
    await declare_agent(world.broker, deployment="prod", agent="lab")
    await world.publish(*course[30:])
    assert await world.waiting(monitor_queue(0)) == 30
    assert await world.waiting(OWN_QUEUE) == 1
    async with monitor(world.settings(prefetch=3)):
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
    assert [stored.seq for stored in await world.history(run)] == list(range(1, 43))


async def test_the_queue_of_an_agent_that_is_created_later_is_read(world: World) -> None:
    async with monitor(world.settings()):
        await add_agent(world, "quiet")
        async with Publisher(world.broker) as publisher:
            await publisher.wait_connected()
            await NoticePublisher(publisher).publish(Notice(agents=frozenset({"prod/quiet"})))
        quiet = await world.dispatched(agent="quiet")
        await world.publish(*life(quiet), source=QUIET)
        await eventually(world.until_state(quiet, RunState.SUCCEEDED), within=15)


async def test_the_queue_of_an_agent_that_is_removed_goes_and_the_others_are_read_on(world: World) -> None:
    await add_agent(world, "quiet")
    run = await world.dispatched()
    course = life(run)
    async with monitor(world.settings()):
        await world.publish(*course[:2])
        await eventually(lambda: _has_stored(world, run, 2), within=10)
        await remove_agent(world.broker, deployment="prod", agent="quiet")
        async with world.database.write() as tx:
            await agents.remove(tx, deployment="prod", name="quiet")
        # Who is gone and speaks all the same is heard by nobody, and holds up nobody.
        await world.publish(*life(run), source=QUIET)
        await world.publish(*course[2:])
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
        await eventually(lambda: _is_empty(world, monitor_queue(0)), within=10)
    with pytest.raises(ChannelNotFoundEntity):
        await world.waiting(agent_telemetry_queue("prod", "quiet"))


async def _is_empty(world: World, queue: str) -> bool:
    return await world.waiting(queue) == 0


async def test_an_agent_that_is_removed_and_created_again_at_once_is_heard(world: World) -> None:
    async with monitor(world.settings()):
        before = await world.dispatched()
        await world.publish(*life(before))
        await eventually(world.until_state(before, RunState.SUCCEEDED), within=10)
        await remove_agent(world.broker, deployment="prod", agent="lab")
        async with world.database.write() as tx:
            await agents.remove(tx, deployment="prod", name="lab")
        await add_agent(world, "lab")
        run = await world.dispatched()
        await world.publish(*life(run))
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=15)
