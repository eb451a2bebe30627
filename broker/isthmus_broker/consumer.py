"""Consumes a queue: deliveries come in order, and each is settled exactly once, on the channel that brought it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.link import LINK_ERRORS, Link, LossWatch, naming_losses
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement

log = get_logger(__name__)


@dataclass(frozen=True)
class Delivery:
    """A message as it came from a queue, and the way to settle it."""

    queue: str
    tag: int
    body: bytes
    exchange: str
    routing_key: str
    #: The account that the broker verified as the sender; None if the sender did not say.
    sender: str | None
    content_encoding: str | None
    headers: dict[str, object]
    is_redelivered: bool
    _channel: UnderlayChannel

    async def settle(self, settlement: Settlement, *, with_earlier: bool = False) -> None:
        """Tell the broker what became of the message, and with `with_earlier` of all unsettled before it.

        A channel that is gone cannot be told: the broker has taken the message back and will deliver it again.
        """
        try:
            with naming_losses():
                await self._tell(settlement, with_earlier=with_earlier)
        except LINK_ERRORS as error:
            log.debug("settlement_lost", queue=self.queue, settlement=settlement.name, error=str(error))

    @property
    def earlier_failures(self) -> int:
        """How often it was delivered before in vain, as the queue counted."""
        count = self.headers.get("x-delivery-count")
        return count if isinstance(count, int) and count > 0 else 0

    async def _tell(self, settlement: Settlement, *, with_earlier: bool) -> None:
        match settlement:
            case Settlement.ACK:
                await self._channel.basic_ack(self.tag, multiple=with_earlier)
            case Settlement.RETRY:
                await self._refuse(is_again=True, with_earlier=with_earlier)
            case Settlement.DEAD_LETTER:
                await self._refuse(is_again=False, with_earlier=with_earlier)
            case Settlement.RETURN:
                pass

    async def _refuse(self, *, is_again: bool, with_earlier: bool) -> None:
        if with_earlier:
            await self._channel.basic_nack(self.tag, multiple=True, requeue=is_again)
        else:
            # Since RabbitMQ 4.3 a nack that requeues is no failure, and counts for no delivery limit; a reject does.
            await self._channel.basic_reject(self.tag, requeue=is_again)


@dataclass(frozen=True)
class Intake:
    """A queue to consume."""

    queue: str
    #: How many unsettled deliveries the broker may have given us.
    prefetch: int
    #: Called for each delivery, in the queue's order; must not block. A delivery over which it raises is dead-lettered.
    on_delivery: Callable[[Delivery], None]


class Consumer:
    """A consuming connection that re-establishes itself, with a channel for each queue."""

    def __init__(
        self,
        settings: BrokerSettings,
        intakes: tuple[Intake, ...],
        *,
        on_connected: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        """Prepare to consume; `on_connected` is called when all queues are consumed, `on_lost` when they no longer are.

        Deliveries that were taken before a loss cannot be settled any more and will come again.
        """
        self._settings = settings
        self._intakes = intakes
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._consuming = asyncio.Event()
        self._cancels: list[Callable[[], Awaitable[object]]] = []
        # aio-pika closes a channel that nobody refers to.
        self._channels: list[AbstractChannel] = []
        self._is_stopped = asyncio.Event()
        self._loss: LossWatch | None = None
        self._boundary = Boundary("delivery")

    @property
    def is_consuming(self) -> bool:
        """Whether the broker delivers to us at this moment."""
        return self._consuming.is_set()

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consuming.wait()

    async def run(self) -> None:
        """Consume until cancelled."""
        await Link(self._settings, self._session).run()

    def start_over(self) -> None:
        """Give up the connection: what is not settled comes again over a new one, after the link's pause."""
        if self._loss is not None:
            self._loss.lose()

    async def stop_intake(self) -> None:
        """Take nothing more; what was delivered can still be settled while `run` goes on."""
        self._is_stopped.set()
        for cancel in self._cancels:
            try:
                with naming_losses():
                    await cancel()
            except LINK_ERRORS as error:
                log.debug("cancel_lost", error=str(error))
        self._cancels.clear()

    async def _session(self, connection: AbstractConnection, on_ready: Callable[[], None]) -> None:
        loss = self._loss = LossWatch()
        try:
            for intake in self._intakes:
                await self._open(connection, intake=intake, loss=loss)
            self._consuming.set()
            on_ready()
            if self._on_connected is not None:
                self._on_connected()
            await loss.wait()
        finally:
            self._cancels.clear()
            self._channels.clear()
            was_consuming = self._consuming.is_set()
            self._consuming.clear()
            if was_consuming and self._on_lost is not None:
                self._on_lost()

    async def _open(self, connection: AbstractConnection, *, intake: Intake, loss: LossWatch) -> None:
        channel = await connection.channel(publisher_confirms=False)
        self._channels.append(channel)
        await channel.set_qos(prefetch_count=intake.prefetch)
        await loss.watch(connection=connection, channels=(channel,))
        underlay = await channel.get_underlay_channel()
        if self._is_stopped.is_set():
            return

        async def deliver(message: DeliveredMessage) -> None:
            if loss.is_lost:
                # It comes again, behind what came before it.
                return
            delivery = _delivery(message, queue=intake.queue, channel=underlay)
            with self._boundary.guard(queue=intake.queue, routing_key=delivery.routing_key) as fate:
                intake.on_delivery(delivery)
            if fate.error is not None:
                await delivery.settle(Settlement.DEAD_LETTER)

        consuming = await underlay.basic_consume(intake.queue, deliver)
        tag = consuming.consumer_tag
        if tag is not None:
            self._cancels.append(lambda: underlay.basic_cancel(tag))


def _delivery(message: DeliveredMessage, *, queue: str, channel: UnderlayChannel) -> Delivery:
    properties = message.header.properties
    return Delivery(
        queue=queue,
        tag=message.delivery_tag or 0,
        body=bytes(message.body),
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        sender=properties.user_id,
        content_encoding=properties.content_encoding,
        headers=dict(properties.headers or {}),
        is_redelivered=bool(message.redelivered),
        _channel=channel,
    )
