"""A link ends when it is told to, also at the moment at which its connection is lost."""

import asyncio
from collections.abc import Callable

import pytest
from aio_pika.abc import AbstractConnection
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
