"""The channel for telemetry: agents and code servers publish batches of events, the monitor consumes them in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from isthmus.v1.telemetry_pb2 import Event, Source, TelemetryBatch
from isthmus_lifecycle.log import get_logger

from isthmus_broker.compression import compress, decompress
from isthmus_broker.consumer import Consumer, Delivery, Intake
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.topology import ANSWERS, TELEMETRY, TelemetryKind, answer_key, monitor_queue, telemetry_key

log = get_logger(__name__)


def encode_batch(batch: TelemetryBatch) -> tuple[bytes, str | None]:
    """Return a batch's bytes and their content encoding."""
    return compress(batch.SerializeToString())


def decode_batch(body: bytes, *, content_encoding: str | None) -> TelemetryBatch:
    """Return the batch that the bytes are.

    Raises:
        MalformedMessageError: they are none.
    """
    expected = "a batch of telemetry"
    try:
        batch = TelemetryBatch.FromString(decompress(body, content_encoding=content_encoding, expected=expected))
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


@dataclass(frozen=True)
class ReceivedBatch:
    """A batch as it came from the broker."""

    batch: TelemetryBatch
    routing_key: str
    #: The account that the broker verified as the sender.
    sender: str | None
    _delivery: Delivery

    async def reject(self) -> None:
        """Keep this one aside as poison; the rest of its group is settled as before."""
        await self._delivery.settle(Settlement.DEAD_LETTER)


@dataclass(frozen=True)
class BatchGroup:
    """Batches that arrived one after another, to be stored in one transaction."""

    items: tuple[ReceivedBatch, ...]
    _last: Delivery

    async def ack(self) -> None:
        """Settle the whole group: its effect is durable."""
        await self._last.settle(Settlement.ACK, with_earlier=True)


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

    def __post_init__(self) -> None:
        intake = Intake(monitor_queue(self.shard), self.prefetch, self._arrived.put_nowait)
        self._consumer = Consumer(
            self.settings, (intake,), on_connected=self.on_connected, on_lost=self._forget_and_tell
        )

    @property
    def is_consuming(self) -> bool:
        """Whether the broker delivers to us at this moment."""
        return self._consumer.is_consuming

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consumer.wait_consuming()

    async def run(self) -> None:
        """Consume until cancelled."""
        await self._consumer.run()

    async def stop_intake(self) -> None:
        """Take nothing more from the broker."""
        await self._consumer.stop_intake()

    async def groups(self) -> AsyncIterator[BatchGroup]:
        """Give what has arrived, oldest first: all that is there at that moment, up to `max_group`."""
        while True:
            deliveries = [await self._arrived.get()]
            while len(deliveries) < self.max_group and not self._arrived.empty():
                deliveries.append(self._arrived.get_nowait())
            items = [item for delivery in deliveries if (item := await self._decode(delivery)) is not None]
            if items:
                yield BatchGroup(tuple(items), deliveries[-1])

    async def _decode(self, delivery: Delivery) -> ReceivedBatch | None:
        try:
            batch = decode_batch(delivery.body, content_encoding=delivery.content_encoding)
        except MalformedMessageError as error:
            log.warning("telemetry_malformed", routing_key=delivery.routing_key, problem=error.problem)
            await delivery.settle(Settlement.DEAD_LETTER)
            return None
        return ReceivedBatch(batch, delivery.routing_key, delivery.sender, delivery)

    def _forget_and_tell(self) -> None:
        # The broker has taken them back and will deliver them again, in order.
        while not self._arrived.empty():
            self._arrived.get_nowait()
        if self.on_lost is not None:
            self.on_lost()
