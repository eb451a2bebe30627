"""Telemetry, answers and notices over a real broker."""

import asyncio
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
    address,
    declared,
    monitoring,
    note_agents,
    publishing,
    reading_dead_letters,
    take_messages,
)
from isthmus.v1.telemetry_pb2 import Event, RunRef, RunSucceeded, Source
from isthmus_broker.answers import Answer, AnswerListener
from isthmus_broker.declaring import declare
from isthmus_broker.errors import BrokerUnavailableError, PublishUnknownError
from isthmus_broker.notices import Notice, NoticeListener, NoticePublisher
from isthmus_broker.publisher import OutgoingMessage
from isthmus_broker.relay import Relay
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.telemetry_consumer import TelemetryConsumer
from isthmus_broker.topology import (
    TELEMETRY,
    TelemetryKind,
)
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.backlog import JournalBacklog
from isthmus_spool.journal import JournalWriter
from support.eventually import eventually, patiently
from support.rabbitmq import Rabbit
from support.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from isthmus_broker.dead_letters import DeadLetter


@pytest.fixture
async def settings(broker_url: str) -> BrokerSettings:
    return await declared(broker_url)


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


async def test_a_journal_is_relayed_in_order_through_an_outage(settings: BrokerSettings, tmp_path: Path) -> None:
    folder = AttemptFolder.for_run(tmp_path, RunRef(run_id="r", attempt=1))
    folder.claim()
    writer = JournalWriter(folder.journal)
    async with TcpProxy.to(*address(settings)) as proxy:
        via = BrokerSettings(proxy.url_for(settings.url), reconnect_min_s=0.02, reconnect_max_s=0.2)
        async with publishing(via) as publisher, asyncio.TaskGroup() as tasks:
            relay = Relay(JournalBacklog(folder), TelemetryPublisher(publisher, source=SOURCE))
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


async def test_an_end_that_comes_at_once_goes_with_what_is_before_it(settings: BrokerSettings, tmp_path: Path) -> None:
    folder = AttemptFolder.for_run(tmp_path, RunRef(run_id="r", attempt=1))
    folder.claim()
    writer = JournalWriter(folder.journal)
    for event in (Event(message="before"), Event(message="end", run_succeeded=RunSucceeded())):
        writer.append(event)
    backlog = JournalBacklog(folder, holds_end=True)
    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        relay = Relay(backlog, TelemetryPublisher(publisher, source=SOURCE))
        tasks.create_task(relay.run())
        await asyncio.sleep(0)
        backlog.release_end()
        relay.finish()
    async with monitoring(settings) as monitor, patiently(20):
        async for group in monitor.groups():
            assert [[it.message for it in item.batch.events] for item in group.items] == [["before", "end"]]
            break


async def test_a_journal_passes_a_broker_that_takes_small_messages(
    rabbitmq: Rabbit, settings: BrokerSettings, tmp_path: Path
) -> None:
    async with small_limit(rabbitmq.node):
        await check_a_journal_passes_a_small_limit(settings, tmp_path)


async def test_a_message_that_is_too_large_is_refused_for_good(rabbitmq: Rabbit, settings: BrokerSettings) -> None:
    async with small_limit(rabbitmq.node):
        await check_a_large_message_is_refused_for_good(settings)


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
