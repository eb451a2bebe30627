"""Consumes a queue: deliveries come in order, and each is settled exactly once, on the channel that brought it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as UnderlayChannel
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.errors import QueueHeldError
from isthmus_broker.link import LINK_ERRORS, Link, LossWatch, naming_losses
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement

log = get_logger(__name__)

#: How RabbitMQ says that a queue has an exclusive consumer; without these words the account may not read it.
_EXCLUSIVE_USE = "exclusive use"


_Cancel = Callable[[], Awaitable[object]]


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
    #: Whether nobody else may consume the queue while the connection lasts, also after `stop_intake`. Classic queues alone
    #: keep to that: RabbitMQ lets others consume a quorum queue all the same.
    is_exclusive: bool = False


@dataclass(frozen=True)
class QueueLook:
    """How a queue stands."""

    #: Those that were not delivered yet.
    messages: int
    consumers: int


class Attachment:
    """A queue that is consumed beside a consumer's own, for as long as both last: its end is nobody else's."""

    def __init__(self, intake: Intake, *, channel: AbstractChannel) -> None:
        """Consume `intake` on a channel of its own."""
        self.intake = intake
        self.channel = channel
        self.loss = LossWatch()
        self.cancel: _Cancel | None = None

    @property
    def is_gone(self) -> bool:
        """Whether it brings nothing any more: its queue was deleted, or its channel is closed."""
        return self.loss.is_lost

    async def prepare(self, connection: AbstractConnection) -> None:
        """Prepare the channel. Raises what the broker refuses it with."""
        await self.channel.set_qos(prefetch_count=self.intake.prefetch)
        await self.loss.watch(connection=connection, channels=(self.channel,))

    async def stop(self) -> None:
        """Take nothing more; what was delivered can still be settled."""
        if self.cancel is not None:
            with suppress(*LINK_ERRORS), naming_losses():
                await self.cancel()

    async def close(self) -> None:
        """Consume no more; what was delivered and not settled goes back to the queue."""
        self.loss.lose()
        with suppress(*LINK_ERRORS), naming_losses():
            await self.channel.close()


class Consumer:
    """A consuming connection that re-establishes itself, with a channel for each queue."""

    def __init__(
        self,
        settings: BrokerSettings,
        intakes: tuple[Intake, ...],
        *,
        on_connected: Callable[[], None] | None = None,
        on_lost: Callable[[], None] | None = None,
        on_refused: Callable[[], None] | None = None,
    ) -> None:
        """Prepare to consume; `on_connected` is called when all queues are consumed, `on_lost` when they no longer are.

        `on_refused` is called at each try to consume a queue that somebody else consumes exclusively.

        Deliveries that were taken before a loss cannot be settled any more and will come again.
        """
        self._settings = settings
        self._intakes = intakes
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._on_refused = on_refused
        self._consuming = asyncio.Event()
        self._cancels: list[_Cancel] = []
        # aio-pika closes a channel that nobody refers to.
        self._channels: list[AbstractChannel] = []
        self._is_stopped = asyncio.Event()
        self._loss: LossWatch | None = None
        #: That of the session, once all queues are consumed.
        self._connection: AbstractConnection | None = None
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
        self._connection = None
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

    async def attach(self, intake: Intake) -> Attachment | None:
        """Consume one more queue while this session lasts; None where that cannot be had now, as when the queue is missing."""
        connection, session = self._connection, self._loss
        if connection is None or session is None or self._is_stopped.is_set():
            return None
        try:
            with naming_losses():
                attachment = Attachment(intake, channel=await connection.channel(publisher_confirms=False))
                await attachment.prepare(connection)
                attachment.cancel = await self._consume(
                    intake, channel=attachment.channel, losses=(session, attachment.loss)
                )
        except LINK_ERRORS as error:
            log.debug("queue_not_attached", queue=intake.queue, error=str(error) or type(error).__name__)
            return None
        return attachment

    async def look(self, queue: str) -> QueueLook | None:
        """Return how many messages and consumers a queue has; None where that cannot be known now, as when it is missing."""
        if self._connection is None:
            return None
        try:
            with naming_losses():
                async with self._connection.channel(publisher_confirms=False) as channel:
                    found = (await channel.declare_queue(queue, passive=True)).declaration_result
        except LINK_ERRORS:
            return None
        return QueueLook(messages=found.message_count or 0, consumers=found.consumer_count or 0)

    async def _session(self, connection: AbstractConnection, on_ready: Callable[[], None]) -> None:
        loss = self._loss = LossWatch()
        try:
            for intake in self._intakes:
                await self._open(connection, intake=intake, loss=loss)
            self._connection = connection
            self._consuming.set()
            on_ready()
            if self._on_connected is not None:
                self._on_connected()
            await loss.wait()
        finally:
            self._connection = None
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
        if self._is_stopped.is_set():
            return
        cancel = await self._consume(intake, channel=channel, losses=(loss,))
        if cancel is not None and not intake.is_exclusive:
            self._cancels.append(cancel)

    async def _consume(
        self, intake: Intake, *, channel: AbstractChannel, losses: tuple[LossWatch, ...]
    ) -> _Cancel | None:
        """Begin to consume a queue until the first of the losses; returns what ends it before."""
        underlay = await channel.get_underlay_channel()

        async def deliver(message: DeliveredMessage) -> None:
            if any(loss.is_lost for loss in losses):
                # It comes again, behind what came before it.
                return
            delivery = _delivery(message, queue=intake.queue, channel=underlay)
            with self._boundary.guard(queue=intake.queue, routing_key=delivery.routing_key) as fate:
                intake.on_delivery(delivery)
            if fate.error is not None:
                await delivery.settle(Settlement.DEAD_LETTER)

        try:
            consuming = await underlay.basic_consume(intake.queue, deliver, exclusive=intake.is_exclusive)
        except ChannelAccessRefused as error:
            if not intake.is_exclusive or _EXCLUSIVE_USE not in str(error):
                raise
            if self._on_refused is not None:
                self._on_refused()
            raise QueueHeldError(queue=intake.queue) from error
        tag = consuming.consumer_tag
        return None if tag is None else lambda: underlay.basic_cancel(tag)


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
