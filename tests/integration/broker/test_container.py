"""The broker as `make up` starts it, in a container: RabbitMQ 4, which refuses and warns of more than its forebears."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration.broker.size_limit import (
    check_a_journal_passes_a_small_limit,
    check_a_large_message_is_refused_for_good,
    small_limit,
)
from integration.broker_stand import (
    SOURCE,
    Inbox,
    consuming,
    declared,
    instruction,
    monitoring,
    note_agents,
    publishing,
    reading_dead_letters,
    take_messages,
)
from isthmus.v1.telemetry_pb2 import Event, Source
from isthmus_broker.declaring import declare
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.telemetry_consumer import TelemetryConsumer
from isthmus_broker.topology import INSTRUCTION_DELIVERY_LIMIT, TelemetryKind, monitor_queue
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.rabbitmq_container import RabbitContainer, rabbitmq_container

if TYPE_CHECKING:
    from isthmus_broker.dead_letters import DeadLetter

# The first test waits for the container, and perhaps for its image.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitContainer]:
    with rabbitmq_container() as node:
        yield node


@pytest.fixture
def url(node: RabbitContainer) -> str:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return Rabbit(node=node, runner=runner).take_url()


async def test_the_server_is_of_the_newer_kind(node: RabbitContainer) -> None:
    told = node.run(["rabbitmqctl", "version"])
    assert int(told.strip().split(".")[0]) >= 4


async def test_the_topology_uses_nothing_that_the_server_is_about_to_drop(node: RabbitContainer, url: str) -> None:
    settings = await declared(url)
    await declare(settings, monitor_shards=1)
    told = node.run(["rabbitmq-diagnostics", "check_if_any_deprecated_features_are_used"])
    assert "no deprecated features in use" in told


async def test_instructions_and_telemetry_go_both_ways(url: str) -> None:
    settings, inbox = await declared(url), Inbox()
    async with publishing(settings) as publisher, consuming(settings, inbox), monitoring(settings) as monitor:
        await InstructionPublisher(publisher).publish(instruction("one"))
        await InstructionPublisher(publisher).publish(instruction("stop"), is_control=True)
        await eventually(lambda: sorted(inbox.ids) == ["one", "stop"], within=10)
        await TelemetryPublisher(publisher, source=SOURCE).publish(TelemetryKind.RUN, [Event(message="done")])
        assert await take_messages(monitor, 1) == ["done"]


async def test_poison_ends_in_the_dead_letters_at_our_limit_and_not_at_the_servers_own(url: str) -> None:
    settings, letters = await declared(url), list["DeadLetter"]()
    inbox = Inbox(lambda _: Settlement.RETRY)
    async with reading_dead_letters(settings, letters), publishing(settings) as publisher, consuming(settings, inbox):
        await InstructionPublisher(publisher).publish(instruction("poison"))
        await eventually(lambda: letters, within=20)
    assert letters[0].reason == "delivery_limit"
    assert len(inbox.ids) == INSTRUCTION_DELIVERY_LIMIT + 1


async def test_an_agents_telemetry_stays_in_one_of_several_shards(url: str) -> None:
    settings = BrokerSettings(url)
    await declare(settings, monitor_shards=4)
    seen: dict[str, tuple[set[int], set[str]]] = {}
    async with publishing(settings) as publisher:
        for number in range(12):
            telemetry = TelemetryPublisher(publisher, source=Source(deployment="default", agent=f"agent-{number}"))
            for kind in TelemetryKind:
                await telemetry.publish(kind, [Event(message=kind)])
    async with asyncio.TaskGroup() as tasks:
        consumers = [TelemetryConsumer(settings, shard=shard) for shard in range(4)]
        running = [tasks.create_task(work) for each in consumers for work in (each.run(), note_agents(each, seen))]
        await eventually(lambda: sum(len(kinds) for _, kinds in seen.values()) == 12 * len(TelemetryKind), within=20)
        for task in running:
            task.cancel()
    assert all(len(shards) == 1 for shards, _ in seen.values())
    assert len(set.union(*(shards for shards, _ in seen.values()))) > 1


async def test_telemetry_that_waits_is_held_in_durable_quorum_queues(node: RabbitContainer, url: str) -> None:
    settings = await declared(url)
    vhost = settings.url.rpartition("/")[2]
    listed = await node.control("list_queues", "--vhost", vhost, "--formatter=json", "name", "type", "durable")
    kinds = {queue["name"]: (queue["type"], queue["durable"]) for queue in json.loads(listed)}
    assert kinds[monitor_queue(0)] == ("quorum", True)


async def test_what_is_too_large_is_cut_to_the_servers_limit_or_refused_for_good(
    node: RabbitContainer, url: str, tmp_path: Path
) -> None:
    settings = await declared(url)
    async with small_limit(node):
        await check_a_large_message_is_refused_for_good(settings)
        await check_a_journal_passes_a_small_limit(settings, tmp_path)
