"""Hears what is said at an exchange while somebody listens; nobody keeps it for who comes later."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from isthmus_broker.link import Link, LossWatch
from isthmus_broker.settings import BrokerSettings


@dataclass(frozen=True)
class Hearing:
    """What is listened to."""

    exchange: str
    routing_key: str
    #: Called for each message; what it raises is its own affair.
    receive: Callable[[AbstractIncomingMessage], Awaitable[None]]
    #: Called whenever a session begins to hear: what was said before it is missed.
    on_listening: Callable[[], None] = lambda: None


class Listener:
    """Listens while `run` goes on, on a queue that lives as long as its session."""

    def __init__(self, settings: BrokerSettings, hearing: Hearing) -> None:
        """Prepare to listen."""
        self._settings = settings
        self._hearing = hearing
        self._listening = asyncio.Event()

    @property
    def is_listening(self) -> bool:
        """Whether what is said would reach us at this moment."""
        return self._listening.is_set()

    async def wait_listening(self) -> None:
        """Wait until what is said would reach us."""
        await self._listening.wait()

    async def run(self) -> None:
        """Listen until cancelled."""
        await Link(self._settings, self._session).run()

    async def _session(self, connection: AbstractConnection, on_ready: Callable[[], None]) -> None:
        channel = await connection.channel(publisher_confirms=False)
        loss = LossWatch()
        await loss.watch(connection=connection, channels=(channel,))
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(self._hearing.exchange, routing_key=self._hearing.routing_key)
        await queue.consume(self._hearing.receive, no_ack=True)
        self._listening.set()
        on_ready()
        self._hearing.on_listening()
        try:
            await loss.wait()
        finally:
            self._listening.clear()
