"""The two sides of the broker, as tests use them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from isthmus.v1.instruction_pb2 import DrainAgent, Instruction
from isthmus.v1.telemetry_pb2 import Source
from isthmus_broker.dead_letters import DeadLetter, DeadLetterConsumer
from isthmus_broker.declaring import declare, declare_agent
from isthmus_broker.instructions import InstructionConsumer, Recipient
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry_consumer import AgentPlace, TelemetryConsumer
from support.eventually import patiently

SOURCE = Source(deployment="default", agent="a")


@asynccontextmanager
async def publishing(settings: BrokerSettings) -> AsyncIterator[Publisher]:
    async with Publisher(settings.named("test publisher")) as publisher:
        await publisher.wait_connected()
        yield publisher


def instruction(name: str) -> Instruction:
    return Instruction(id=name, deployment="default", agent="a", drain_agent=DrainAgent())


class Inbox:
    """Collects what a handler is given, and answers with a settlement of the test's choice."""

    def __init__(self, settlement: Callable[[Instruction], Settlement] = lambda _: Settlement.ACK) -> None:
        self.ids: list[str] = []
        self._settlement = settlement

    async def __call__(self, instruction: Instruction) -> Settlement:
        self.ids.append(instruction.id)
        return self._settlement(instruction)


@asynccontextmanager
async def consuming(
    settings: BrokerSettings, handle: Inbox, *, prefetch: int = 8
) -> AsyncIterator[InstructionConsumer]:
    consumer = InstructionConsumer(settings, Recipient("default", "a"), prefetch=prefetch, handle=handle)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        yield consumer
        running.cancel()


@asynccontextmanager
async def reading_dead_letters(settings: BrokerSettings, letters: list[DeadLetter]) -> AsyncIterator[None]:
    async def keep(letter: DeadLetter) -> Settlement:
        letters.append(letter)
        return Settlement.ACK

    consumer = DeadLetterConsumer(settings, handle=keep)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        yield
        running.cancel()


@asynccontextmanager
async def monitoring(
    settings: BrokerSettings, *, on_lost: Callable[[], None] | None = None
) -> AsyncIterator[TelemetryConsumer]:
    consumer = TelemetryConsumer(settings, on_lost=on_lost)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        following = tasks.create_task(_follow(consumer))
        yield consumer
        running.cancel()
        following.cancel()


async def _follow(consumer: TelemetryConsumer) -> None:
    """Read agent a's own queue, too, as often as the connection is built anew."""
    while True:
        await consumer.follow([AgentPlace("default", "a")])
        await asyncio.sleep(0.1)


async def take_messages(consumer: TelemetryConsumer, count: int) -> list[str]:
    taken: list[str] = []
    async with patiently(20):
        async for group in consumer.groups():
            taken += [event.message for item in group.items for event in item.batch.events]
            await group.ack()
            if len(taken) >= count:
                break
    return taken


async def note_agents(consumer: TelemetryConsumer, seen: dict[str, tuple[set[int], set[str]]]) -> None:
    async for group in consumer.groups():
        for item in group.items:
            shards, kinds = seen.setdefault(item.batch.source.agent, (set(), set()))
            shards.add(consumer.shard)
            kinds.add(item.batch.events[0].message)
        await group.ack()


def address(settings: BrokerSettings) -> tuple[str, int]:
    host, _, port = settings.url.rsplit("@", 1)[1].split("/")[0].partition(":")
    return host, int(port)


async def declared(broker_url: str) -> BrokerSettings:
    """Declare the topology and one agent; patience is short, so that outages are over soon."""
    settings = BrokerSettings(
        broker_url,
        reconnect_min_s=0.02,
        reconnect_max_s=0.2,
        retry_min_s=0.005,
        retry_max_s=0.05,
        publish_timeout_s=3,
        quiet_s=1,
    )
    await declare(settings, monitor_shards=1)
    await declare_agent(settings, deployment="default", agent="a")
    return settings
