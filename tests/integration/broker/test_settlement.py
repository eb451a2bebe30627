"""How deliveries are settled, over a real broker: retries wait, count and end; one bad message leaves the others alone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from aio_pika import Message
from aiormq.exceptions import ChannelPreconditionFailed
from integration.broker_stand import (
    SOURCE,
    Inbox,
    consuming,
    declared,
    instruction,
    monitoring,
    publishing,
    reading_dead_letters,
    take_messages,
)
from isthmus.v1.instruction_pb2 import Instruction
from isthmus.v1.telemetry_pb2 import Event
from isthmus_broker.dead_letters import MAX_TRIES, DeadLetter, DeadLetterConsumer
from isthmus_broker.declaring import declare
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.link import connect
from isthmus_broker.publisher import OutgoingMessage
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.telemetry_consumer import BatchGroup, TelemetryConsumer
from isthmus_broker.topology import (
    DEAD,
    INSTRUCTION_DELIVERY_LIMIT,
    TELEMETRY,
    UNROUTABLE,
    TelemetryKind,
)
from support.eventually import eventually, patiently

if TYPE_CHECKING:
    from pamqp.common import FieldTable


@pytest.fixture
async def settings(broker_url: str) -> BrokerSettings:
    return await declared(broker_url)


async def waiting(settings: BrokerSettings, queue: str) -> int:
    async with await connect(settings) as connection, connection.channel() as channel:
        return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0


async def is_empty(settings: BrokerSettings, queue: str) -> bool:
    return await waiting(settings, queue) == 0


# ---------------------------------------------------------------------------------------------------------- instructions


async def test_a_retry_waits_longer_each_time_and_ends_in_the_dead_letters(settings: BrokerSettings) -> None:
    patient = replace(settings, retry_min_s=0.01, retry_max_s=0.4)
    clock, at = asyncio.get_running_loop().time, list[float]()
    letters: list[DeadLetter] = []

    def note(_: Instruction) -> Settlement:
        at.append(clock())
        return Settlement.RETRY

    async with (
        reading_dead_letters(settings, letters),
        publishing(settings) as publisher,
        consuming(patient, Inbox(note)),
    ):
        await InstructionPublisher(publisher).publish(instruction("poison"))
        await eventually(lambda: letters, within=60)
    assert letters[0].reason == "delivery_limit"
    assert len(at) == INSTRUCTION_DELIVERY_LIMIT + 1
    gaps = [later - earlier for earlier, later in pairwise(at)]
    # A busy machine makes a gap longer, never shorter.
    assert all(gap >= min(0.4, 0.01 * 2**number) * 0.9 for number, gap in enumerate(gaps))


async def test_what_waits_for_another_try_keeps_nothing_else_waiting(settings: BrokerSettings) -> None:
    patient = replace(settings, retry_min_s=3600.0, retry_max_s=3600.0)
    inbox = Inbox(lambda it: Settlement.ACK if it.id.startswith("good") else Settlement.RETRY)
    async with publishing(settings) as publisher, consuming(patient, inbox, prefetch=4):
        for number in range(8):
            await InstructionPublisher(publisher).publish(instruction(f"bad {number}"))
        await InstructionPublisher(publisher).publish(instruction("good"))
        await eventually(lambda: "good" in inbox.ids, within=30)


async def test_a_drain_does_not_wait_for_a_retry(settings: BrokerSettings) -> None:
    patient = replace(settings, retry_min_s=3600.0, retry_max_s=3600.0)
    inbox = Inbox(lambda _: Settlement.RETRY)
    async with publishing(settings) as publisher, consuming(patient, inbox) as consumer:
        await InstructionPublisher(publisher).publish(instruction("one"))
        await eventually(lambda: inbox.ids, within=30)
        async with patiently(30):
            await consumer.drain(deadline_s=3600)
    again = Inbox()
    async with consuming(settings, again):
        await eventually(lambda: again.ids == ["one"], within=30)


# ---------------------------------------------------------------------------------------------------------- dead letters


def reading(
    settings: BrokerSettings,
    handle: Callable[[DeadLetter], Awaitable[Settlement]],
    *,
    transient: tuple[type[Exception], ...] = (Exception,),
) -> DeadLetterConsumer:
    return DeadLetterConsumer(settings, handle=handle, transient=transient)


async def test_a_dead_letter_outlives_any_number_of_failures_of_its_reader(settings: BrokerSettings) -> None:
    tries = 0

    async def handle(letter: DeadLetter) -> Settlement:
        nonlocal tries
        tries += 1
        if tries <= 2 * INSTRUCTION_DELIVERY_LIMIT:
            raise ConnectionError(letter.reason)
        return Settlement.ACK

    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(reading(settings, handle).run())
        await publisher.publish(OutgoingMessage(UNROUTABLE, "nobody", b"letter"))
        await eventually(lambda: tries > 2 * INSTRUCTION_DELIVERY_LIMIT, within=60)
        running.cancel()
    await eventually(lambda: is_empty(settings, DEAD), within=10)


async def test_letters_that_cannot_be_handled_are_given_up_and_hide_none(settings: BrokerSettings) -> None:
    bad = 0
    read: list[bytes] = []

    async def handle(letter: DeadLetter) -> Settlement:
        nonlocal bad
        if letter.body.startswith(b"bad"):
            bad += 1
            raise KeyError(letter.body)
        read.append(letter.body)
        return Settlement.ACK

    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        for number in range(25):
            await publisher.publish(OutgoingMessage(UNROUTABLE, "nobody", b"bad %d" % number))
        await publisher.publish(OutgoingMessage(UNROUTABLE, "nobody", b"good"))
        running = tasks.create_task(reading(settings, handle, transient=(ConnectionError,)).run())
        await eventually(lambda: read == [b"good"] and bad == 25 * MAX_TRIES, within=60)
        running.cancel()


async def test_the_queue_of_dead_letters_of_an_earlier_release_is_made_anew_when_it_is_empty(broker_url: str) -> None:
    settings = BrokerSettings(broker_url)
    former: FieldTable = {"x-queue-type": "quorum"}
    async with await connect(settings) as connection, connection.channel() as channel:
        await channel.declare_queue(DEAD, durable=True, arguments=former)
    await declare(settings, monitor_shards=1)
    await declare(settings, monitor_shards=1)
    async with await connect(settings) as connection, connection.channel() as channel:
        with pytest.raises(ChannelPreconditionFailed, match="inequivalent arg"):
            await channel.declare_queue(DEAD, durable=True, arguments=former)


async def test_dead_letters_of_an_earlier_release_are_read_before_their_queue_goes(broker_url: str) -> None:
    settings = BrokerSettings(broker_url)
    async with await connect(settings) as connection, connection.channel() as channel:
        await channel.declare_queue(DEAD, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(Message(b"old"), DEAD)
    await declare(settings, monitor_shards=1)
    letters: list[DeadLetter] = []
    async with reading_dead_letters(settings, letters), publishing(settings) as publisher:
        await publisher.publish(OutgoingMessage(UNROUTABLE, "nobody", b"new"))
        await eventually(lambda: sorted(letter.body for letter in letters) == [b"new", b"old"], within=30)
    await eventually(lambda: is_empty(settings, DEAD), within=10)
    await declare(settings, monitor_shards=1)
    async with publishing(settings) as publisher:
        await publisher.publish(OutgoingMessage(UNROUTABLE, "nobody", b"kept"))
    assert await waiting(settings, DEAD) == 1


# ------------------------------------------------------------------------------------------------------------- telemetry


async def say(settings: BrokerSettings, *messages: str) -> None:
    async with publishing(settings) as publisher:
        for message in messages:
            await TelemetryPublisher(publisher, source=SOURCE).publish(TelemetryKind.RUN, [Event(message=message)])


async def publish_garbage(settings: BrokerSettings) -> None:
    async with publishing(settings) as publisher:
        await publisher.publish(OutgoingMessage(TELEMETRY, "default.a.run", b"\x0a\xff\xff"))


async def next_group(consumer: TelemetryConsumer) -> BatchGroup:
    async with patiently(30):
        return await anext(aiter(consumer.groups()))


async def test_a_group_that_ends_with_garbage_is_acknowledged_over_the_same_channel(settings: BrokerSettings) -> None:
    await say(settings, "good")
    await publish_garbage(settings)
    losses: list[str] = []
    async with monitoring(settings, on_lost=lambda: losses.append("lost")) as monitor:
        await eventually(lambda: monitor.backlog == 2, within=30)
        group = await next_group(monitor)
        await group.ack()
        await say(settings, "next")
        assert await take_messages(monitor, 1) == ["next"]
        assert losses == []
    assert await waiting(settings, DEAD) == 1


async def test_a_group_whose_last_is_poison_is_acknowledged_over_the_same_channel(settings: BrokerSettings) -> None:
    await say(settings, "first", "second", "poison")
    losses: list[str] = []
    async with monitoring(settings, on_lost=lambda: losses.append("lost")) as monitor:
        await eventually(lambda: monitor.backlog == 3, within=30)
        group = await next_group(monitor)
        await group.items[-1].reject()
        await group.ack()
        await say(settings, "next")
        assert await take_messages(monitor, 1) == ["next"]
        assert losses == []
    # What was not acknowledged would come again, before this.
    await say(settings, "last")
    async with monitoring(settings) as monitor:
        assert await take_messages(monitor, 1) == ["last"]
    assert await waiting(settings, DEAD) == 1


async def test_a_group_of_poison_alone_is_settled(settings: BrokerSettings) -> None:
    await say(settings, "poison")
    async with monitoring(settings) as monitor:
        group = await next_group(monitor)
        await group.items[0].reject()
        await group.ack()
        await say(settings, "next")
        assert await take_messages(monitor, 1) == ["next"]


async def test_a_consumer_that_starts_over_is_given_all_of_it_again_in_order(settings: BrokerSettings) -> None:
    said = [str(number) for number in range(9)]
    await say(settings, *said)
    async with monitoring(settings) as monitor:
        await next_group(monitor)
        monitor.start_over()
        await eventually(lambda: not monitor.is_consuming, within=10)
        await monitor.wait_consuming()
        assert await take_messages(monitor, len(said)) == said
