"""What nobody could use: poison, expired instructions and messages without a queue, for the control plane to settle."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from isthmus_lifecycle.log import get_logger

from isthmus_broker.consumer import Consumer, Delivery, Intake
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.topology import DEAD

log = get_logger(__name__)


@dataclass(frozen=True)
class DeadLetter:
    """A message and why it died."""

    body: bytes
    #: Where it was first published.
    exchange: str
    routing_key: str
    #: The queue in which it died; empty when none took it.
    queue: str
    #: ``rejected``, ``expired``, ``delivery_limit``, ``maxlen``, or ``unroutable``.
    reason: str
    sender: str | None
    content_encoding: str | None


Handler = Callable[[DeadLetter], Awaitable[Settlement]]


class DeadLetterConsumer:
    """Reads dead letters one by one while `run` goes on; a handler that raises sees the same one again."""

    def __init__(self, settings: BrokerSettings, *, handle: Handler) -> None:
        """Prepare to read."""
        self._handle = handle
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        self._consumer = Consumer(settings, (Intake(DEAD, 20, self._arrived.put_nowait),))

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consumer.wait_consuming()

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consumer.run())
            tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            delivery = await self._arrived.get()
            try:
                settlement = await self._handle(_dead_letter(delivery))
            except Exception:
                # One letter that cannot be handled must not keep the others from being read.
                log.exception("dead_letter_handler_failed", routing_key=delivery.routing_key)
                settlement = Settlement.RETRY
                await asyncio.sleep(1)
            await delivery.settle(settlement)


def _dead_letter(delivery: Delivery) -> DeadLetter:
    deaths = delivery.headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}
    keys = death.get("routing-keys")
    first_key = keys[0] if isinstance(keys, list) and keys else delivery.routing_key
    return DeadLetter(
        body=delivery.body,
        exchange=str(death.get("exchange", delivery.exchange)),
        routing_key=str(first_key),
        queue=str(death.get("queue", "")),
        reason=str(death.get("reason", "unroutable")),
        sender=delivery.sender,
        content_encoding=delivery.content_encoding,
    )
