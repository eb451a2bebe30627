"""Consumes a queue: deliveries come in order, and each is settled exactly once, on the channel that brought it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused
from isthmus_lifecycle.boundary import Boundary, cancellations, heed_cancellation
from isthmus_lifecycle.log import get_logger

from isthmus_broker.delivery import Delivery, delivery_of
from isthmus_broker.errors import QueueHeldError
from isthmus_broker.link import LINK_ERRORS, Link, LossWatch, naming_losses
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement

log = get_logger(__name__)

#: How RabbitMQ says that a queue has an exclusive consumer; without these words the account may not read it.
_EXCLUSIVE_USE = "exclusive use"

_Cancel = Callable[[], Awaitable[object]]


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
    #: Says that nothing of the queue is in hand. Where it is given, a quiet queue is consumed anew now and then: RabbitMQ does
    #: not tell the consumer of a quorum queue that was deleted and made again at once, and brings it nothing either.
    is_idle: Callable[[], bool] | None = None


@dataclass(frozen=True)
class QueueLook:
    """How a queue stands."""

    #: Those that were not delivered yet.
    messages: int
    consumers: int


class Attachment:
    """A queue that is consumed, over a channel of its own."""

    def __init__(
        self, intake: Intake, *, channel: AbstractChannel, quiet_s: float, on_loss: Callable[[], None] | None = None
    ) -> None:
        """Consume `intake` on a channel of its own; `on_loss` is called when it ends by another hand than ours.

        It is quiet when it has brought nothing for `quiet_s` seconds.
        """
        self.intake = intake
        self._quiet_s = quiet_s
        # aio-pika closes a channel that nobody refers to.
        self.channel = channel
        self.loss = LossWatch(on_loss)
        self.cancel: _Cancel | None = None
        self.heard_at = asyncio.get_running_loop().time()

    @property
    def is_gone(self) -> bool:
        """Whether it brings nothing any more: its queue was deleted, or its channel is closed."""
        return self.loss.is_lost

    @property
    def is_quiet(self) -> bool:
        """Whether it has brought nothing for a while, and nothing that it brought is in hand."""
        silence_s = asyncio.get_running_loop().time() - self.heard_at
        return self.intake.is_idle is not None and silence_s >= self._quiet_s and self.intake.is_idle()

    async def prepare(self, connection: AbstractConnection) -> None:
        """Prepare the channel. Raises what the broker refuses it with."""
        await self.channel.set_qos(prefetch_count=self.intake.prefetch)
        await self.loss.watch(connection=connection, channels=(self.channel,))

    async def stop(self) -> None:
        """Take nothing more; what was delivered can still be settled. An exclusive queue stays ours."""
        if self.cancel is None or self.intake.is_exclusive:
            return
        try:
            with naming_losses():
                await self.cancel()
        except LINK_ERRORS as error:
            log.debug("cancel_lost", queue=self.intake.queue, error=str(error))

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
        #: What is consumed in this session, by queue.
        self._opened: dict[str, Attachment] = {}
        self._is_stopped = asyncio.Event()
        self._loss: LossWatch | None = None
        #: That of the session, once all queues are consumed.
        self._connection: AbstractConnection | None = None
        self._boundary = Boundary("delivery")
        self._renewals = Boundary("renewal of a queue")

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
        for attachment in list(self._opened.values()):
            await attachment.stop()

    async def attach(self, intake: Intake) -> Attachment | None:
        """Consume one more queue while this session lasts; None where that cannot be had now, as when the queue is missing."""
        connection, session = self._connection, self._loss
        if connection is None or session is None or self._is_stopped.is_set():
            return None
        try:
            with naming_losses():
                return await self._open(connection, intake=intake, session=session)
        except LINK_ERRORS as error:
            log.debug("queue_not_attached", queue=intake.queue, error=str(error) or type(error).__name__)
            return None

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
                self._opened[intake.queue] = await self._open(
                    connection, intake=intake, session=loss, on_loss=loss.lose
                )
            self._connection = connection
            self._consuming.set()
            on_ready()
            if self._on_connected is not None:
                self._on_connected()
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew_quiet(connection, session=loss), name="quiet queues")
                await loss.wait()
                renewing.cancel()
        finally:
            self._connection = None
            self._opened.clear()
            was_consuming = self._consuming.is_set()
            self._consuming.clear()
            if was_consuming and self._on_lost is not None:
                self._on_lost()

    async def _renew_quiet(self, connection: AbstractConnection, *, session: LossWatch) -> NoReturn:
        """Consume quiet queues anew, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.quiet_s / 2)
            for attachment in [one for one in self._opened.values() if one.is_quiet]:
                before = cancellations()
                with self._renewals.guard(queue=attachment.intake.queue) as fate:
                    is_renewed = await self._try_to_renew(attachment, connection=connection, session=session)
                if fate.error is not None or not is_renewed:
                    session.lose()
                # aiormq makes a loss of a cancellation where the channel is being closed, and one that was not heeded here
                # would keep the session, and with it the whole process, from ending.
                heed_cancellation(before, error=None)

    async def _try_to_renew(
        self, attachment: Attachment, *, connection: AbstractConnection, session: LossWatch
    ) -> bool:
        try:
            with naming_losses():
                await self._renew(attachment, connection=connection, session=session)
        except LINK_ERRORS as error:
            log.debug("queue_not_renewed", queue=attachment.intake.queue, error=str(error))
            return False
        return True

    async def _renew(self, attachment: Attachment, *, connection: AbstractConnection, session: LossWatch) -> None:
        if self._is_stopped.is_set():
            return
        intake = attachment.intake
        await attachment.stop()
        if not attachment.is_quiet:
            # It came in this moment, and is not settled yet: it comes again.
            session.lose()
            return
        await attachment.close()
        self._opened[intake.queue] = renewed = await self._open(
            connection, intake=intake, session=session, on_loss=session.lose
        )
        if self._is_stopped.is_set():
            await renewed.stop()

    async def _open(
        self,
        connection: AbstractConnection,
        *,
        intake: Intake,
        session: LossWatch,
        on_loss: Callable[[], None] | None = None,
    ) -> Attachment:
        channel = await connection.channel(publisher_confirms=False)
        attachment = Attachment(intake, channel=channel, quiet_s=self._settings.quiet_s, on_loss=on_loss)
        await attachment.prepare(connection)
        if not self._is_stopped.is_set():
            attachment.cancel = await self._consume(attachment, session=session)
        return attachment

    async def _consume(self, attachment: Attachment, *, session: LossWatch) -> _Cancel | None:
        """Begin to consume a queue until it or the session is lost; returns what ends it before."""
        intake, loss = attachment.intake, attachment.loss
        underlay = await attachment.channel.get_underlay_channel()

        async def deliver(message: DeliveredMessage) -> None:
            if loss.is_lost or session.is_lost:
                # It comes again, behind what came before it.
                return
            attachment.heard_at = asyncio.get_running_loop().time()
            delivery = delivery_of(message, queue=intake.queue, channel=underlay)
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
