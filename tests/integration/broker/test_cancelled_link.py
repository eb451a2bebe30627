"""A link ends when it is told to, also at the moment at which its connection is lost."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from aio_pika.abc import AbstractConnection
from integration.broker_stand import Inbox, declared
from isthmus_broker.instructions import InstructionConsumer, Recipient
from isthmus_broker.link import Link
from isthmus_broker.settings import BrokerSettings
from support.eventually import patiently


async def test_a_cancellation_that_comes_out_as_a_loss_ends_the_link(broker_url: str) -> None:
    at_work = asyncio.Event()

    async def session(_connection: AbstractConnection, on_ready: Callable[[], None]) -> None:
        on_ready()
        at_work.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            # As aiormq does with whoever waits for an answer on a connection that is being lost.
            raise ConnectionError("the connection was lost") from error

    async with asyncio.TaskGroup() as group:
        running = group.create_task(Link(BrokerSettings(url=broker_url), session).run())
        async with patiently(10):
            await at_work.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


async def test_a_consumer_that_looks_anew_at_a_quiet_queue_ends_whenever_it_is_told_to(broker_url: str) -> None:
    settings = replace(await declared(broker_url), quiet_s=0.1)
    for turn in range(40):
        consumer = InstructionConsumer(settings, Recipient("default", "a"), prefetch=8, handle=Inbox())
        async with asyncio.TaskGroup() as group:
            running = group.create_task(consumer.run())
            await consumer.wait_consuming()
            # It begins to look as the queue has been quiet for a while, and is told in the middle of that: now here, now there.
            await asyncio.wait([running], timeout=settings.quiet_s + turn % 20 / 1000)
            async with patiently(10):
                await consumer.drain(deadline_s=1)
                running.cancel()
                await asyncio.wait([running])
