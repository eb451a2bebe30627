"""Instructions and telemetry over a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.instruction_pb2 import DrainAgent, Instruction
from isthmus.v1.telemetry_pb2 import Event, RunRef, Source
from isthmus_broker.answers import Answer, AnswerListener
from isthmus_broker.dead_letters import DeadLetter, DeadLetterConsumer
from isthmus_broker.errors import BrokerUnavailableError, PublishUnknownError, TopologyError
from isthmus_broker.instructions import InstructionConsumer, InstructionPublisher
from isthmus_broker.journal import AttemptFolder, JournalWriter
from isthmus_broker.link import connect
from isthmus_broker.notices import Notice, NoticeListener, NoticePublisher
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.relay import JournalRelay
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import TelemetryConsumer, TelemetryPublisher
from isthmus_broker.topology import (
    INSTRUCTIONS,
    TELEMETRY,
    TelemetryKind,
    declare,
    declare_agent,
    instruction_queue,
    remove_agent,
)
from support.eventually import eventually
from support.tcp_proxy import TcpProxy

SOURCE = Source(deployment="default", agent="a")


@pytest.fixture
async def settings(broker_url: str) -> BrokerSettings:
    settings = BrokerSettings(broker_url, reconnect_min_s=0.02, reconnect_max_s=0.2, publish_timeout_s=3)
    await declare(settings, monitor_shards=1)
    await declare_agent(settings, deployment="default", agent="a")
    return settings


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
    consumer = InstructionConsumer(settings, deployment="default", agent="a", prefetch=prefetch, handle=handle)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        yield consumer
        running.cancel()


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
        settings, deployment="default", agent="a", prefetch=1, handle=inbox, allowed_sender="somebody-else"
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


@asynccontextmanager
async def monitoring(settings: BrokerSettings) -> AsyncIterator[TelemetryConsumer]:
    consumer = TelemetryConsumer(settings)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        yield consumer
        running.cancel()


async def take_messages(consumer: TelemetryConsumer, count: int) -> list[str]:
    taken: list[str] = []
    async with asyncio.timeout(20):
        async for group in consumer.groups():
            taken += [event.message for item in group.items for event in item.batch.events]
            await group.ack()
            if len(taken) >= count:
                break
    return taken


async def test_telemetry_comes_in_order_and_unacknowledged_groups_come_again(settings: BrokerSettings) -> None:
    async with publishing(settings) as publisher:
        telemetry = TelemetryPublisher(publisher, source=SOURCE)
        for number in range(20):
            await telemetry.publish(TelemetryKind.RUN, [Event(message=f"{number}.{part}") for part in range(3)])
        async with monitoring(settings) as first:
            async for group in first.groups():
                assert group.items[0].batch.events[0].message == "0.0"
                assert group.items[0].sender == settings.user
                break  # and it is never acknowledged
        async with monitoring(settings) as second:
            assert await take_messages(second, 60) == [f"{number}.{part}" for number in range(20) for part in range(3)]


async def test_garbage_on_the_telemetry_exchange_is_dead_lettered(settings: BrokerSettings) -> None:
    letters: list[DeadLetter] = []
    async with (
        reading_dead_letters(settings, letters),
        publishing(settings) as publisher,
        monitoring(settings) as monitor,
    ):
        await publisher.publish(OutgoingMessage(TELEMETRY, "default.a.run", b"\x0a\xff\xff"))
        await publisher.publish(OutgoingMessage(TELEMETRY, "default.a.run", b"no", content_encoding="zstd"))
        await TelemetryPublisher(publisher, source=SOURCE).publish(TelemetryKind.RUN, [Event(message="good")])
        assert await take_messages(monitor, 1) == ["good"]
        await eventually(lambda: len(letters) == 2, within=5)


async def test_an_agents_telemetry_stays_in_one_of_several_shards(broker_url: str) -> None:
    settings = BrokerSettings(broker_url)
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
        await eventually(lambda: sum(len(kinds) for _, kinds in seen.values()) == 12 * len(TelemetryKind), within=10)
        for task in running:
            task.cancel()
    assert len(seen) == 12
    assert all(len(shards) == 1 for shards, _ in seen.values())
    assert len(set.union(*(shards for shards, _ in seen.values()))) > 1


async def note_agents(consumer: TelemetryConsumer, seen: dict[str, tuple[set[int], set[str]]]) -> None:
    async for group in consumer.groups():
        for item in group.items:
            shards, kinds = seen.setdefault(item.batch.source.agent, (set(), set()))
            shards.add(consumer.shard)
            kinds.add(item.batch.events[0].message)
        await group.ack()


async def test_publishing_survives_a_cut_wire(settings: BrokerSettings) -> None:
    async with TcpProxy.to(*address(settings)) as proxy:
        via = BrokerSettings(
            proxy.url_for(settings.url), reconnect_min_s=0.02, reconnect_max_s=0.2, publish_timeout_s=1
        )
        async with publishing(via) as publisher:
            telemetry = TelemetryPublisher(publisher, source=SOURCE)
            await telemetry.publish(TelemetryKind.RUN, [Event(message="before")])
            proxy.refuse()
            await eventually(lambda: not publisher.is_connected, within=5)
            with pytest.raises(BrokerUnavailableError):
                await telemetry.publish(TelemetryKind.RUN, [Event(message="during")])
            proxy.resume()
            await publisher.wait_connected()
            await telemetry.publish(TelemetryKind.RUN, [Event(message="after")])
    async with monitoring(settings) as monitor:
        assert await take_messages(monitor, 2) == ["before", "after"]


async def test_a_silent_wire_makes_a_publish_unknown_within_its_deadline(settings: BrokerSettings) -> None:
    async with TcpProxy.to(*address(settings)) as proxy:
        via = BrokerSettings(proxy.url_for(settings.url), publish_timeout_s=0.3)
        async with publishing(via) as publisher:
            proxy.black_hole()
            with pytest.raises(PublishUnknownError):
                await TelemetryPublisher(publisher, source=SOURCE).publish(TelemetryKind.RUN, [Event()])
            proxy.resume()


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


async def test_a_journal_is_relayed_in_order_through_an_outage(settings: BrokerSettings, tmp_path: Path) -> None:
    folder = AttemptFolder.for_run(tmp_path, RunRef(run_id="r", attempt=1))
    folder.claim()
    writer = JournalWriter(folder.journal)
    async with TcpProxy.to(*address(settings)) as proxy:
        via = BrokerSettings(proxy.url_for(settings.url), reconnect_min_s=0.02, reconnect_max_s=0.2)
        async with publishing(via) as publisher, asyncio.TaskGroup() as tasks:
            relay = JournalRelay(folder, TelemetryPublisher(publisher, source=SOURCE))
            relaying = tasks.create_task(relay.run())
            for number in range(1000):
                if number == 300:
                    proxy.refuse()
                if number == 700:
                    proxy.resume()
                writer.append(Event(message=str(number)))
                relay.ring()
                await asyncio.sleep(0)
            relay.finish()
            await relaying
    assert folder.is_done
    async with monitoring(settings) as monitor:
        taken = await take_messages(monitor, 1000)
    # A batch whose confirm was lost in the outage is published twice; its sequence numbers tell.
    assert list(dict.fromkeys(taken)) == [str(number) for number in range(1000)]


async def test_an_answer_reaches_only_its_asker(settings: BrokerSettings) -> None:
    mine: list[Answer] = []
    other: list[Answer] = []
    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        listeners = [
            AnswerListener(settings, reply_to="me", on_answer=mine.append),
            AnswerListener(settings, reply_to="you", on_answer=other.append),
        ]
        running = [tasks.create_task(listener.run()) for listener in listeners]
        for listener in listeners:
            await listener.wait_listening()
        telemetry = TelemetryPublisher(publisher, source=SOURCE)
        await telemetry.answer("me", Event(message="hello"))
        await telemetry.answer("who hung up", Event(message="nobody hears"))
        await eventually(lambda: mine, within=5)
        for task in running:
            task.cancel()
    assert [answer.event.message for answer in mine] == ["hello"]
    assert mine[0].sender == settings.user
    assert other == []


async def test_a_notice_is_heard_and_a_fresh_listener_is_told_to_look(settings: BrokerSettings) -> None:
    heard: list[Notice] = []
    listener = NoticeListener(settings, on_notice=heard.append)
    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(listener.run())
        await listener.wait_listening()
        await NoticePublisher(publisher).publish(Notice(runs=frozenset({"r"})))
        await eventually(lambda: len(heard) == 2, within=5)
        running.cancel()
    assert heard == [Notice(), Notice(runs=frozenset({"r"}))]


async def test_declaring_twice_is_fine_and_other_properties_are_an_error_with_a_remedy(broker_url: str) -> None:
    settings = BrokerSettings(broker_url)
    await declare(settings, monitor_shards=2)
    await declare(settings, monitor_shards=2)
    async with await connect(settings) as connection, connection.channel() as channel:
        await channel.declare_queue(instruction_queue("default", "b"), durable=True)
    with pytest.raises(TopologyError, match="other properties"):
        await declare_agent(settings, deployment="default", agent="b")


def address(settings: BrokerSettings) -> tuple[str, int]:
    host, _, port = settings.url.rsplit("@", 1)[1].split("/")[0].partition(":")
    return host, int(port)
