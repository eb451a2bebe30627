"""The way back of a question: answers come to a queue that lives as long as its asker."""

from collections.abc import Callable
from dataclasses import dataclass

from aio_pika.abc import AbstractIncomingMessage
from isthmus.v1.telemetry_pb2 import Event, Source
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.bounds import tame
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.listener import Hearing, Listener
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import decode_batch
from isthmus_broker.topology import ANSWERS

log = get_logger(__name__)


@dataclass(frozen=True)
class Answer:
    """One event that came in answer to a question."""

    source: Source
    event: Event
    #: The account that the broker verified as the sender.
    sender: str | None


class AnswerListener(Listener):
    """Receives the answers to the questions of one asker, while `run` goes on."""

    def __init__(self, settings: BrokerSettings, *, reply_to: str, on_answer: Callable[[Answer], None]) -> None:
        """Listen for answers to `reply_to`, a word that no other asker uses."""
        super().__init__(settings, Hearing(ANSWERS, f"*.*.{reply_to}", self._receive))
        self._on_answer = on_answer
        self._boundary = Boundary("answer")

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        try:
            batch = decode_batch(message.body, content_encoding=message.content_encoding)
        except MalformedMessageError as error:
            log.warning("answer_malformed", routing_key=message.routing_key, problem=error.problem)
            return
        tame(batch)
        for event in batch.events:
            with self._boundary.guard(routing_key=message.routing_key):
                self._on_answer(Answer(batch.source, event, message.user_id))
