"""What nobody could use: poison, expired instructions and messages without a queue, for the control plane to settle."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.consumer import Consumer, Intake
from isthmus_broker.delivery import Delivery
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.topology import DEAD

log = get_logger(__name__)

#: How often a letter is tried whose handler fails for a reason that will not pass.
MAX_TRIES: Final = 8
#: How many letters are in hand at once.
_PREFETCH: Final = 20


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
    """Reads dead letters while `run` goes on, several at a time; each is handled until its handler has settled it.

    A letter whose handler fails for a while, as while the database is away, stays in hand and is tried again after a growing
    pause: it is not given back, because each time that counts as a delivery. One whose handler fails for a reason of the
    letter's own is given up after `MAX_TRIES`, logged as an error and dropped, so that it never keeps the others from being read.
    """

    def __init__(
        self, settings: BrokerSettings, *, handle: Handler, transient: tuple[type[Exception], ...] = (Exception,)
    ) -> None:
        """Prepare to read; `transient` are the errors of the handler that pass by themselves."""
        self._handle = handle
        self._transient = transient
        self._retry = (settings.retry_min_s, settings.retry_max_s)
        self._boundary = Boundary("dead letter")
        self._tasks: asyncio.TaskGroup | None = None
        self._consumer = Consumer(settings, (Intake(DEAD, _PREFETCH, self._on_delivery),))

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consumer.wait_consuming()

    async def run(self) -> None:
        """Read until cancelled; what is in hand then goes back to the queue."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._consumer.run()

    def _on_delivery(self, delivery: Delivery) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._work(delivery))

    async def _work(self, delivery: Delivery) -> None:
        letter = _dead_letter(delivery)
        facts = {"queue": letter.queue, "routing_key": letter.routing_key, "sender": letter.sender}
        backoff = Backoff(*self._retry)
        tries = 0
        while True:
            settlement = Settlement.RETRY
            with self._boundary.guard(**facts) as fate:
                settlement = await self._handle(letter)
            if settlement is not Settlement.RETRY:
                await delivery.settle(settlement)
                return
            tries += fate.error is not None and not isinstance(fate.error, self._transient)
            if tries >= MAX_TRIES:
                log.error("dead_letter_given_up", reason=letter.reason, size=len(letter.body), **facts)
                await delivery.settle(Settlement.ACK)
                return
            await asyncio.sleep(backoff.next_wait_s())


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
