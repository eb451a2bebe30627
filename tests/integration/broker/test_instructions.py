"""Instructions and dead letters over a real broker."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from integration.broker_stand import (
    Inbox,
    address,
    consuming,
    declared,
    instruction,
    publishing,
    reading_dead_letters,
)
from isthmus.v1.instruction_pb2 import DrainAgent, Instruction
from isthmus_broker.declaring import declare, declare_agent, remove_agent
from isthmus_broker.errors import TopologyError
from isthmus_broker.instructions import InstructionConsumer, InstructionPublisher, Recipient
from isthmus_broker.link import connect
from isthmus_broker.publisher import OutgoingMessage
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.topology import (
    INSTRUCTIONS,
    instruction_queue,
)
from support.eventually import eventually
from support.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from isthmus_broker.dead_letters import DeadLetter


@pytest.fixture
async def settings(broker_url: str) -> BrokerSettings:
    return await declared(broker_url)


async def test_an_instruction_reaches_its_agent_and_is_gone_when_acknowledged(settings: BrokerSettings) -> None:
    inbox = Inbox()
    async with publishing(settings) as publisher, consuming(settings, inbox):
        await InstructionPublisher(publisher).publish(instruction("one"))
        await InstructionPublisher(publisher).publish(instruction("stop"), is_control=True)
        await eventually(lambda: sorted(inbox.ids) == ["one", "stop"], within=5)
    again = Inbox()
    async with publishing(settings) as publisher, consuming(settings, again):
        await InstructionPublisher(publisher).publish(instruction("two"))
        await eventually(lambda: again.ids == ["two"], within=5)


async def test_a_retried_instruction_comes_again(settings: BrokerSettings) -> None:
    inbox = Inbox(lambda _: Settlement.RETRY if len(inbox.ids) < 3 else Settlement.ACK)
    async with publishing(settings) as publisher, consuming(settings, inbox):
        await InstructionPublisher(publisher).publish(instruction("one"))
        await eventually(lambda: inbox.ids == ["one"] * 3, within=5)


async def test_a_handler_that_always_raises_ends_in_the_dead_letters(settings: BrokerSettings) -> None:
    class Broken(Inbox):
        async def __call__(self, instruction: Instruction) -> Settlement:
            self.ids.append(instruction.id)
            raise ValueError(instruction.id)

    inbox = Broken()
    letters: list[DeadLetter] = []
    async with reading_dead_letters(settings, letters), publishing(settings) as publisher, consuming(settings, inbox):
        await InstructionPublisher(publisher).publish(instruction("poison"))
        await eventually(lambda: letters, within=10)
    assert letters[0].reason == "delivery_limit"
    assert len(inbox.ids) > 3


async def test_garbage_is_dead_lettered_and_the_next_instruction_is_handled(settings: BrokerSettings) -> None:
    inbox = Inbox()
    letters: list[DeadLetter] = []
    key = instruction_queue("default", "a")
    async with reading_dead_letters(settings, letters), publishing(settings) as publisher, consuming(settings, inbox):
        await publisher.publish(OutgoingMessage(INSTRUCTIONS, key, b"\xff\xffgarbage"))
        await publisher.publish(OutgoingMessage(INSTRUCTIONS, key, instruction("cut").SerializeToString()[:-1]))
        await InstructionPublisher(publisher).publish(instruction("good"))
        await eventually(lambda: inbox.ids == ["good"] and len(letters) == 2, within=5)
    assert {(letter.reason, letter.exchange, letter.queue) for letter in letters} == {("rejected", INSTRUCTIONS, key)}
    assert letters[0].body == b"\xff\xffgarbage"
    assert letters[0].sender == settings.user


async def test_an_instruction_that_nobody_takes_in_time_is_dead_lettered(settings: BrokerSettings) -> None:
    letters: list[DeadLetter] = []
    late = instruction("late")
    late.not_after.CopyFrom(Timestamp(seconds=1))
    async with reading_dead_letters(settings, letters), publishing(settings) as publisher:
        await InstructionPublisher(publisher).publish(late)
        await eventually(lambda: letters, within=10)
    assert letters[0].reason == "expired"
    assert Instruction.FromString(letters[0].body).id == "late"


async def test_an_instruction_for_an_agent_without_a_queue_is_kept_as_unroutable(settings: BrokerSettings) -> None:
    letters: list[DeadLetter] = []
    lost = Instruction(id="lost", deployment="default", agent="nobody", drain_agent=DrainAgent())
    async with reading_dead_letters(settings, letters), publishing(settings) as publisher:
        await InstructionPublisher(publisher).publish(lost)
        await eventually(lambda: letters, within=5)
    assert (letters[0].reason, letters[0].routing_key) == ("unroutable", instruction_queue("default", "nobody"))


async def test_an_instruction_from_another_account_is_dead_lettered(settings: BrokerSettings) -> None:
    inbox = Inbox()
    letters: list[DeadLetter] = []
    consumer = InstructionConsumer(
        settings,
        Recipient("default", "a", "somebody-else"),
        prefetch=1,
        handle=inbox,
    )
    async with reading_dead_letters(settings, letters), publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        await InstructionPublisher(publisher).publish(instruction("forged"))
        await eventually(lambda: letters, within=5)
        running.cancel()
    assert inbox.ids == []


async def test_drain_waits_for_what_is_in_hand_and_returns_the_rest(settings: BrokerSettings) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    finished: list[str] = []

    class Slow(Inbox):
        async def __call__(self, instruction: Instruction) -> Settlement:
            started.set()
            await (release.wait() if instruction.id == "in hand" else asyncio.Event().wait())
            finished.append(instruction.id)
            return Settlement.ACK

    async with publishing(settings) as publisher, consuming(settings, Slow(), prefetch=2) as consumer:
        for name in ("in hand", "stuck", "never taken"):
            await InstructionPublisher(publisher).publish(instruction(name))
        await started.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(consumer.drain(deadline_s=0.5))
            release.set()
    assert finished == ["in hand"]
    rest = Inbox()
    async with consuming(settings, rest):
        await eventually(lambda: sorted(rest.ids) == ["never taken", "stuck"], within=5)


async def test_what_is_acknowledged_together_takes_nothing_else_along(settings: BrokerSettings) -> None:
    """Acknowledged in bursts and in any order, between others that are set aside, tried again, and still in hand."""
    letters: list[DeadLetter] = []
    tried: set[str] = set()

    class Mixed(Inbox):
        async def __call__(self, instruction: Instruction) -> Settlement:
            self.ids.append(instruction.id)
            kind, number = instruction.id.split()
            for _ in range(int(number) * 7 % 5):
                await asyncio.sleep(0)
            if kind == "held":
                await asyncio.Event().wait()
            if kind == "again" and instruction.id not in tried:
                tried.add(instruction.id)
                return Settlement.RETRY
            return Settlement.DEAD_LETTER if kind == "bad" else Settlement.ACK

    kinds = ("good", "good", "good", "again", "good", "bad", "good", "held", "good", "good")
    names = [f"{kinds[number % 10]} {number}" for number in range(300)]
    inbox = Mixed()
    async with publishing(settings) as publisher, reading_dead_letters(settings, letters):
        async with consuming(settings, inbox, prefetch=200) as consumer:
            await asyncio.gather(*(InstructionPublisher(publisher).publish(instruction(name)) for name in names))
            await eventually(lambda: len(inbox.ids) == len(names) + 30, within=20)
            await eventually(lambda: len(letters) == 30, within=20)
            await consumer.drain(deadline_s=0.2)
        rest = Inbox()
        async with consuming(settings, rest, prefetch=200):
            await eventually(lambda: len(rest.ids) >= 30, within=20)
            await InstructionPublisher(publisher).publish(instruction("last 1"))
            await eventually(lambda: "last 1" in rest.ids, within=20)
    assert sorted(rest.ids) == sorted(["last 1", *(name for name in names if name.startswith("held"))])
    assert len(letters) == 30


async def test_a_consumer_consumes_again_after_its_wire_was_cut(settings: BrokerSettings) -> None:
    inbox = Inbox()
    async with TcpProxy.to(*address(settings)) as proxy:
        via = BrokerSettings(proxy.url_for(settings.url), reconnect_min_s=0.02, reconnect_max_s=0.2)
        async with publishing(settings) as publisher, consuming(via, inbox) as consumer:
            proxy.refuse()
            await eventually(lambda: not consumer.is_consuming, within=5)
            await InstructionPublisher(publisher).publish(instruction("meanwhile"))
            proxy.resume()
            await eventually(lambda: inbox.ids == ["meanwhile"], within=10)


async def test_a_consumer_whose_queue_is_deleted_comes_back_when_it_exists_again(settings: BrokerSettings) -> None:
    inbox = Inbox()
    async with publishing(settings) as publisher, consuming(settings, inbox) as consumer:
        await remove_agent(settings, deployment="default", agent="a")
        await eventually(lambda: not consumer.is_consuming, within=5)
        await declare_agent(settings, deployment="default", agent="a")
        await InstructionPublisher(publisher).publish(instruction("back"))
        await eventually(lambda: inbox.ids == ["back"], within=10)


async def test_declaring_twice_is_fine_and_other_properties_are_an_error_with_a_remedy(broker_url: str) -> None:
    settings = BrokerSettings(broker_url)
    await declare(settings, monitor_shards=2)
    await declare(settings, monitor_shards=2)
    async with await connect(settings) as connection, connection.channel() as channel:
        await channel.declare_queue(instruction_queue("default", "b"), durable=True)
    with pytest.raises(TopologyError, match="other properties"):
        await declare_agent(settings, deployment="default", agent="b")


@pytest.mark.parametrize("is_control", [False, True])
async def test_a_queue_that_is_made_anew_at_once_is_heard(settings: BrokerSettings, *, is_control: bool) -> None:
    inbox = Inbox()
    queue = instruction_queue("default", "a", is_control=is_control)
    async with publishing(settings) as publisher, consuming(settings, inbox), await connect(settings) as connection:
        for turn in ("one", "two", "three"):
            # Now and then the broker tells its consumer, and now and then it does not.
            channel = await connection.channel()
            await channel.queue_delete(queue)
            await declare_agent(settings, deployment="default", agent="a")
            await InstructionPublisher(publisher).publish(instruction(turn), is_control=is_control)
            await eventually(partial(inbox.ids.__contains__, turn), within=30)
