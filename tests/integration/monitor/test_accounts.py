"""An agent with two accounts at a real broker: its own, and that of its code servers, each with the rights that docs/agent.md names."""

import secrets
from dataclasses import replace

import pytest
from integration.monitor.world import AGENT, CODE_SERVER, World, heartbeat, life, monitor, now
from isthmus.v1.telemetry_pb2 import Event, RunHeartbeat, Source, TelemetryBatch
from isthmus_broker.errors import PublishUnknownError
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TELEMETRY, TelemetryKind
from isthmus_store import agents
from isthmus_store.record.agent import NewAgent
from isthmus_store.state import AgentState, RunState
from support.eventually import eventually
from support.rabbitmq import Rabbit
from yarl import URL


async def account(rabbitmq: Rabbit, broker: BrokerSettings, *, name: str, topic_write: str) -> BrokerSettings:
    """Make an account that may write telemetry under some routing keys alone."""
    # No dash comes first, which would make the password an option of the command.
    url, password = URL(broker.url), secrets.token_hex(12)
    vhost = url.path[1:]
    await rabbitmq.node.control("add_user", name, password)
    await rabbitmq.node.control("set_permissions", "--vhost", vhost, name, "^$", r"^isthmus\.telemetry$", "^$")
    await rabbitmq.node.control("set_topic_permissions", "--vhost", vhost, name, TELEMETRY, topic_write, "^$")
    return replace(broker, url=str(url.with_user(name).with_password(password)))


@pytest.fixture
async def own(world: World, rabbitmq: Rabbit) -> BrokerSettings:
    return await account(rabbitmq, world.broker, name=f"lab-{secrets.token_hex(4)}", topic_write=r"^prod\.lab\.")


@pytest.fixture
async def runs_alone(world: World, rabbitmq: Rabbit, own: BrokerSettings) -> BrokerSettings:
    name = f"lab-runs-{secrets.token_hex(4)}"
    made = await account(rabbitmq, world.broker, name=name, topic_write=r"^prod\.lab\.run$")
    known = NewAgent(
        deployment="prod",
        name="lab",
        pool="default",
        broker_user=own.user,
        code_server_broker_user=made.user,
        created_at=now(),
    )
    async with world.database.write() as tx:
        await agents.insert(tx, known)
    return made


async def say(settings: BrokerSettings, *said: Event, source: Source, kind: TelemetryKind) -> None:
    async with Publisher(settings) as publisher:
        await publisher.wait_connected()
        await TelemetryPublisher(publisher, source=source).publish(kind, said)


async def test_each_account_is_heard_on_its_own_affairs(
    world: World, own: BrokerSettings, runs_alone: BrokerSettings
) -> None:
    run = await world.dispatched()
    beat, source = heartbeat(run)
    alive = Event(run_heartbeat=RunHeartbeat(active_runs=beat.agent_heartbeat.active_runs))
    async with monitor(world.settings()):
        await say(own, beat, source=source, kind=TelemetryKind.HEARTBEAT)
        await say(runs_alone, alive, *life(run), source=CODE_SERVER, kind=TelemetryKind.RUN)
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
        await eventually(lambda: _is_online(world), within=10)


async def test_code_servers_account_cannot_speak_for_the_agent(
    world: World, own: BrokerSettings, runs_alone: BrokerSettings
) -> None:
    run = await world.dispatched()
    instruction_id = await world.instruct(run)
    beat, source = heartbeat()
    result = Event()
    result.instruction_result.instruction_id = instruction_id
    result.instruction_result.outcome = result.instruction_result.OUTCOME_FAILED
    assert own.user != runs_alone.user
    async with Publisher(runs_alone) as publisher:
        await publisher.wait_connected()
        with pytest.raises(PublishUnknownError, match="ACCESS_REFUSED"):
            await TelemetryPublisher(publisher, source=source).publish(TelemetryKind.HEARTBEAT, [beat])
    async with monitor(world.settings()):
        # Under the only key that the broker lets it use.
        await say(runs_alone, beat, result, *life(run)[:1], source=AGENT, kind=TelemetryKind.RUN)
        await eventually(world.until_state(run, RunState.RUNNING), within=10)
    assert (await world.agent()).state is AgentState.NEW


async def test_nobody_says_anything_without_an_account_of_the_agent(
    world: World, own: BrokerSettings, runs_alone: BrokerSettings
) -> None:
    run, other = await world.dispatched(), await world.dispatched()
    batch = TelemetryBatch(source=CODE_SERVER, events=life(run))
    async with monitor(world.settings()):
        async with Publisher(world.broker) as publisher:
            await publisher.wait_connected()
            await publisher.publish(OutgoingMessage(TELEMETRY, "prod.lab.run", batch.SerializeToString()))
        await say(runs_alone, *life(other), source=CODE_SERVER, kind=TelemetryKind.RUN)
        await eventually(world.until_state(other, RunState.SUCCEEDED), within=10)
    assert await world.history(run) == []
    assert own.user != world.broker.user


async def _is_online(world: World) -> bool:
    return (await world.agent()).state is AgentState.ONLINE
