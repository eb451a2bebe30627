"""The channel for telemetry: agents and code servers publish batches of events, the monitor consumes them in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1.telemetry_pb2 import Event, Source, TelemetryBatch
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.compression import MAX_BODY_BYTES, compress, decompress, unfolded_size
from isthmus_broker.consumer import Consumer, Delivery, Intake
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.scan import has_more_than
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.topology import ANSWERS, TELEMETRY, TelemetryKind, answer_key, monitor_queue, telemetry_key

log = get_logger(__name__)

#: The most events of a message; ours have 500 at most. Deciding on so many holds up the monitor's loop for 0.1 s.
MAX_EVENTS: Final = 10_000
#: How much is unfolded at once for a group of messages, bytes; a single one may be larger.
MAX_GROUP_BYTES: Final = 64 * 1024**2
#: What unfolds to more than this, bytes, is decoded beside the event loop, which must not miss its own heartbeats.
_LARGE_BYTES: Final = 1024**2


def encode_batch(batch: TelemetryBatch) -> tuple[bytes, str | None]:
    """Return a batch's bytes and their content encoding."""
    return compress(batch.SerializeToString())


def decode_batch(body: bytes, *, content_encoding: str | None) -> TelemetryBatch:
    """Return the batch that the bytes are. Numbers in its events are as they came: who reads an event tames it.

    Raises:
        MalformedMessageError: they are none, or one with too many events.
    """
    expected = "a batch of telemetry"
    unfolded = decompress(body, content_encoding=content_encoding, expected=expected)
    if has_more_than(MAX_EVENTS, field=TelemetryBatch.EVENTS_FIELD_NUMBER, body=unfolded):
        # Asked before they are parsed: an event of two bytes takes a hundred in memory.
        raise MalformedMessageError(expected=expected, problem=f"it has more than {MAX_EVENTS} events")
    try:
        batch = TelemetryBatch.FromString(unfolded)
    except DecodeError as error:
        raise MalformedMessageError(expected=expected, problem=f"the bytes are none ({error})") from error
    if not batch.source.deployment or not batch.source.agent:
        raise MalformedMessageError(expected=expected, problem="its source names no deployment or no agent")
    return batch


class TelemetryPublisher:
    """Publishes what one source has to tell."""

    def __init__(self, publisher: Publisher, *, source: Source) -> None:
        """Publish over `publisher`, which the caller enters and leaves."""
        self._publisher = publisher
        self._source = source

    @property
    def source(self) -> Source:
        """Who speaks."""
        return self._source

    async def wait_connected(self) -> None:
        """Wait until there is a connection to publish on."""
        await self._publisher.wait_connected()

    async def publish(self, kind: TelemetryKind, events: Sequence[Event]) -> None:
        """Publish events as one batch and wait for the confirm. Raises what `Publisher.publish` raises."""
        key = telemetry_key(self._source.deployment, self._source.agent, kind)
        await self._publisher.publish(self._message(TELEMETRY, key, events, is_mandatory=True))

    async def answer(self, reply_to: str, event: Event) -> None:
        """Publish the answer to a question; nobody keeps it if the asker is gone."""
        key = answer_key(self._source.deployment, self._source.agent, reply_to)
        await self._publisher.publish(self._message(ANSWERS, key, (event,), is_mandatory=False))

    def _message(
        self, exchange: str, routing_key: str, events: Sequence[Event], *, is_mandatory: bool
    ) -> OutgoingMessage:
        body, encoding = encode_batch(TelemetryBatch(source=self._source, events=events))
        return OutgoingMessage(
            exchange=exchange,
            routing_key=routing_key,
            body=body,
            content_encoding=encoding,
            headers={"agent": f"{self._source.deployment}.{self._source.agent}"},
            is_mandatory=is_mandatory,
        )


@dataclass
class ReceivedBatch:
    """A batch as it came from the broker."""

    batch: TelemetryBatch
    routing_key: str
    #: The account that the broker verified as the sender.
    sender: str | None
    _delivery: Delivery
    _is_rejected: bool = field(default=False, init=False)

    @property
    def is_rejected(self) -> bool:
        """Whether it was set aside."""
        return self._is_rejected

    async def reject(self) -> None:
        """Set this one aside as poison; the rest of its group is settled as before."""
        self._is_rejected = True
        await self._delivery.settle(Settlement.DEAD_LETTER)

    async def ack_with_earlier(self) -> None:
        """Settle this one and all before it that are not settled yet."""
        await self._delivery.settle(Settlement.ACK, with_earlier=True)


@dataclass(frozen=True)
class BatchGroup:
    """Batches that arrived one after another, to be stored in one transaction."""

    items: tuple[ReceivedBatch, ...]

    async def ack(self) -> None:
        """Settle the whole group: its effect is durable."""
        # Not by the tag of one that was set aside: the broker closes the channel over a tag that is settled already.
        kept = [item for item in self.items if not item.is_rejected]
        if kept:
            await kept[-1].ack_with_earlier()


@dataclass
class TelemetryConsumer:
    """Consumes one of the monitor's queues, in order, as its only active consumer.

    `run` keeps the connection; `groups` gives what has arrived. What is not telemetry is dead-lettered at once.
    """

    settings: BrokerSettings
    shard: int = 0
    #: How many batches may be delivered and not yet acknowledged.
    prefetch: int = 400
    #: How many batches make a group at the most.
    max_group: int = 200
    on_connected: Callable[[], None] | None = None
    on_lost: Callable[[], None] | None = None
    _arrived: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue, init=False)
    #: Was delivered, and begins the next group.
    _held: Delivery | None = field(default=None, init=False)
    _boundary: Boundary = field(default_factory=lambda: Boundary("telemetry message"), init=False)

    def __post_init__(self) -> None:
        intake = Intake(monitor_queue(self.shard), self.prefetch, self._arrived.put_nowait)
        self._consumer = Consumer(
            self.settings, (intake,), on_connected=self.on_connected, on_lost=self._forget_and_tell
        )

    @property
    def is_consuming(self) -> bool:
        """Whether the broker delivers to us at this moment."""
        return self._consumer.is_consuming

    @property
    def backlog(self) -> int:
        """How many batches were delivered and wait to be taken."""
        return self._arrived.qsize() + (self._held is not None)

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consumer.wait_consuming()

    async def run(self) -> None:
        """Consume until cancelled."""
        await self._consumer.run()

    async def stop_intake(self) -> None:
        """Take nothing more from the broker."""
        await self._consumer.stop_intake()

    def start_over(self) -> None:
        """Give everything back that is not acknowledged: it comes again, in order, over a new connection."""
        self._consumer.start_over()
        self._forget()

    async def groups(self) -> AsyncIterator[BatchGroup]:
        """Give what has arrived, oldest first: all that is there at that moment, up to `max_group` and `MAX_GROUP_BYTES`."""
        while True:
            items = [item for delivery in await self._take() if (item := await self._decode(delivery)) is not None]
            if items:
                yield BatchGroup(tuple(items))

    async def _take(self) -> list[Delivery]:
        first = self._held or await self._arrived.get()
        self._held = None
        taken, size = [first], _weight(first)
        while len(taken) < self.max_group and not self._arrived.empty():
            following = self._arrived.get_nowait()
            size += _weight(following)
            if size > MAX_GROUP_BYTES:
                self._held = following
                break
            taken.append(following)
        return taken

    async def _decode(self, delivery: Delivery) -> ReceivedBatch | None:
        with self._boundary.guard(routing_key=delivery.routing_key, sender=delivery.sender):
            try:
                batch = await self._unfold(delivery)
            except MalformedMessageError as error:
                log.warning("telemetry_malformed", routing_key=delivery.routing_key, problem=error.problem)
            else:
                return ReceivedBatch(batch, delivery.routing_key, delivery.sender, delivery)
        await delivery.settle(Settlement.DEAD_LETTER)
        return None

    async def _unfold(self, delivery: Delivery) -> TelemetryBatch:
        decode = partial(decode_batch, delivery.body, content_encoding=delivery.content_encoding)
        return await asyncio.to_thread(decode) if _weight(delivery) > _LARGE_BYTES else decode()

    def _forget(self) -> None:
        # The broker takes them back and will deliver them again, in order.
        self._held = None
        while not self._arrived.empty():
            self._arrived.get_nowait()

    def _forget_and_tell(self) -> None:
        self._forget()
        if self.on_lost is not None:
            self.on_lost()


def _weight(delivery: Delivery) -> int:
    """Return about how many bytes a message unfolds to; the most that it may where it does not say."""
    size = unfolded_size(delivery.body, content_encoding=delivery.content_encoding)
    return MAX_BODY_BYTES if size is None else size
