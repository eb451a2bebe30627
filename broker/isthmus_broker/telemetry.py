"""Telemetry as messages: batches of events, and who publishes them."""

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1.telemetry_pb2 import Event, Source, TelemetryBatch
from isthmus_lifecycle.log import get_logger

from isthmus_broker.compression import compress, decompress
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.scan import has_more_than
from isthmus_broker.topology import ANSWERS, TELEMETRY, TelemetryKind, answer_key, telemetry_key

log = get_logger(__name__)

#: The most events of a message; ours have 500 at most. Deciding on so many holds up the monitor's loop for 0.1 s.
MAX_EVENTS: Final = 10_000


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
