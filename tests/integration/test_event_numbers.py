"""Events whose transactions end in another order than that of their numbers, which PostgreSQL gives out before: none is passed over."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from integration.control_plane_stand import Stand, control_plane
from integration.test_automation import told
from integration.test_sensors import Script, ended, sees, snapshot
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instance_pb2 import EventsQuery, InstanceAnswer, InstanceQuery, QueryEnvelope
from isthmus_broker.consumer import Consumer
from isthmus_broker.notices import Notice
from isthmus_broker.publisher import Publisher
from isthmus_broker.queries import QueryAnswers, QueryPublisher
from isthmus_store import event_index
from isthmus_store.transaction import WriteTransaction
from sqlalchemy import text
from support.eventually import eventually, patiently

ORDERS = pb.AssetKey(path=["orders"])

Ask = Callable[[InstanceQuery], Coroutine[None, None, InstanceAnswer]]


async def write(tx: WriteTransaction, partition: str) -> int:
    """Write an event about a partition of the asset; returns its number."""
    event = told("asset_materialized", ORDERS, partition=partition)
    await event_index.add_runless(tx, event, deployment="default", at=datetime.now(UTC))
    return await event_index.newest_id(tx)


@asynccontextmanager
async def asking(stand: Stand) -> AsyncIterator[Ask]:
    """Ask as a sensor does that is evaluated by the agent."""
    heard: asyncio.Queue[InstanceAnswer] = asyncio.Queue()

    async def ask(query: InstanceQuery) -> InstanceAnswer:
        query.id, query.timeout_s = uuid.uuid4().hex, 60
        await queries.publish(QueryEnvelope(deployment="default", agent="alpha", query=query))
        async with patiently(30):
            return await heard.get()

    async with Publisher(stand.broker) as publisher, asyncio.TaskGroup() as tasks:
        await publisher.wait_connected()
        queries = QueryPublisher(publisher)
        answers = QueryAnswers(deployment="default", agent="alpha", on_answer=heard.put_nowait, tasks=tasks)
        consumer = Consumer(stand.broker, (answers.intake,))
        hearing = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        yield ask
        hearing.cancel()


async def is_waited_for(stand: Stand) -> bool:
    """Whether somebody waits for those who write events."""
    locks = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_index'::regclass")
    async with stand.database.look() as tx:
        return bool((await tx.execute(locks)).scalar_one())


async def test_who_goes_on_by_number_is_told_of_no_event_before_all_with_smaller_numbers_are_there(
    broker_url: str, postgres_url: str
) -> None:
    async with control_plane(broker_url, postgres_url) as stand:
        await stand.serve()
        query = InstanceQuery(
            events=EventsQuery(kinds=["asset_materialized"], asset=ORDERS, is_ascending=True, limit=5)
        )
        async with asking(stand) as ask, asyncio.TaskGroup() as tasks:
            async with stand.database.write() as early:
                first = await write(early, "north")
                async with stand.database.write() as late:
                    second = await write(late, "south")
                assert second > first
                answer = tasks.create_task(ask(query))
                await eventually(lambda: is_waited_for(stand), within=30)
                assert not answer.done()
            assert [it.id for it in (await answer).events.events] == [first, second]


async def test_a_sensor_is_woken_by_an_event_that_shows_up_below_those_that_were_seen(
    broker_url: str, postgres_url: str
) -> None:
    script = Script(sees(skip_reason="looked"))
    defined = snapshot(kind="multi_asset", monitored_assets=[ORDERS], minimum_interval_s=3600)
    async with control_plane(broker_url, postgres_url) as stand:
        stand.snapshot = defined
        await stand.serve()
        news = Notice(runs=frozenset({str(uuid.uuid4())}))
        async with stand.answering(script):
            await ended(stand, count=1)
            async with stand.database.write() as early:
                await write(early, "north")
                async with stand.database.write() as late:
                    await write(late, "south")
                await stand.tell(news)
                await ended(stand, count=2)
            await stand.tell(news)
            await ended(stand, count=3)
