"""Publishes with confirms, mandatory, and returns raised, over a connection of its own."""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, DeliveryMode
from aiormq.exceptions import ChannelPreconditionFailed, DeliveryError, PublishError
from isthmus_lifecycle.boundary import cancellations, heed_cancellation
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.number import clamped

from isthmus_broker.errors import (
    BrokerUnavailableError,
    PublishRefusedError,
    PublishUnknownError,
    QueueFullError,
    UnroutableError,
)
from isthmus_broker.link import LINK_ERRORS, Link, LossWatch, naming_losses
from isthmus_broker.settings import BrokerSettings

log = get_logger(__name__)

#: The longest life in a queue that a message is given, seconds (40 days): the broker takes 2^32 ms and no more.
MAX_EXPIRES_IN_S: Final = 3_456_000.0
#: What RabbitMQ says, in every version, when it closes a channel over a message that is too large.
_TOO_LARGE: Final = re.compile(r"message size \d+ is larger than (?:configured )?max size (\d+)")


@dataclass(frozen=True)
class OutgoingMessage:
    """A message on its way to an exchange."""

    exchange: str
    routing_key: str
    body: bytes
    content_type: str = "application/x-protobuf"
    content_encoding: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: After this many seconds in a queue the message is dead-lettered; None for never.
    expires_in_s: float | None = None
    #: Whether a message that no queue takes is an error.
    is_mandatory: bool = True
    #: Whether it is to survive the broker's restart.
    is_durable: bool = True


class Publisher:
    """A publishing connection that re-establishes itself.

    An async context manager. Entering does not wait for the broker: a control plane serves while the broker is away;
    `wait_connected` waits. Many publishes may be in flight at once; each waits for its own confirm.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        """Prepare a publisher; nothing is opened before it is entered."""
        self._settings = settings
        self._link = Link(settings, self._session)
        self._max_bytes = settings.max_message_bytes
        self._channel: AbstractChannel | None = None
        self._connected = asyncio.Event()
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._task = tasks.create_task(self._link.run(), name=f"link {self._settings.connection_name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._task is not None:
            self._task.cancel()
        return await self._stack.__aexit__(kind, error, trace)

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"<Publisher {self._settings.connection_name!r} {state}>"

    @property
    def settings(self) -> BrokerSettings:
        """How the broker is reached."""
        return self._settings

    @property
    def is_connected(self) -> bool:
        """Whether a publish has a channel to go over at this moment."""
        return self._connected.is_set()

    async def wait_connected(self) -> None:
        """Wait until there is a channel to publish on."""
        await self._connected.wait()

    async def publish(self, message: OutgoingMessage) -> None:
        """Publish and wait for the broker's confirm: the message is then stored in every queue that takes it.

        Raises:
            BrokerUnavailableError: there is no connection; nothing was sent.
            PublishUnknownError: no confirm came; the message may be stored or not.
            QueueFullError: a full queue refused it.
            PublishRefusedError: it is larger than the broker takes, now and later.
            UnroutableError: the message is mandatory and no queue takes it.
        """
        channel = self._channel
        if channel is None:
            raise BrokerUnavailableError(purpose=self._settings.connection_name)
        key, before = message.routing_key, cancellations()
        self._check_size(message)
        try:
            with naming_losses():
                async with asyncio.timeout(self._settings.publish_timeout_s):
                    exchange = await channel.get_exchange(message.exchange, ensure=False)
                    await exchange.publish(self._amqp_message(message), key, mandatory=message.is_mandatory)
        except PublishError as error:
            raise UnroutableError(exchange=message.exchange, routing_key=key) from error
        except DeliveryError as error:
            raise QueueFullError(routing_key=key) from error
        except LINK_ERRORS as error:
            # Whoever insists on a publish would try again for ever, after a cancellation that came out as a loss.
            heed_cancellation(before, error=error)
            self._learn(error)
            # What else was in flight on the channel was lost with it, and is sent again.
            self._check_size(message)
            raise PublishUnknownError(routing_key=key, cause=str(error) or type(error).__name__) from error

    def _check_size(self, message: OutgoingMessage) -> None:
        """Refuse what the broker would: it would close the channel over it, with all that is in flight there."""
        if len(message.body) > self._max_bytes:
            raise PublishRefusedError(routing_key=message.routing_key, size=len(message.body), limit=self._max_bytes)

    def _learn(self, error: BaseException) -> None:
        """Take note of the broker's own limit, if that is why the channel is gone."""
        if not isinstance(error, ChannelPreconditionFailed):
            return
        found = _TOO_LARGE.search(str(error))
        if found is not None and int(found[1]) < self._max_bytes:
            self._max_bytes = int(found[1])
            log.warning("broker_takes_less", purpose=self._settings.connection_name, max_message_bytes=self._max_bytes)

    def _amqp_message(self, message: OutgoingMessage) -> aio_pika.Message:
        # aiormq gives every publish a message id of its own: two in flight under one id would swap their outcomes.
        return aio_pika.Message(
            message.body,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=dict(message.headers),
            expiration=life_in_queue(message.expires_in_s),
            delivery_mode=DeliveryMode.PERSISTENT if message.is_durable else DeliveryMode.NOT_PERSISTENT,
            user_id=self._settings.user,
        )

    async def _session(self, connection: AbstractConnection, on_ready: Callable[[], None]) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        loss = LossWatch()
        await loss.watch(connection=connection, channels=(channel,))
        self._channel = channel
        self._connected.set()
        on_ready()
        try:
            await loss.wait()
        finally:
            self._channel = None
            self._connected.clear()


def life_in_queue(expires_in_s: float | None) -> float | None:
    """Return a life that the broker takes: it closes the channel over any other."""
    return None if expires_in_s is None else clamped(expires_in_s, least=0.0, most=MAX_EXPIRES_IN_S)
