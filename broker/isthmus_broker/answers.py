"""The way back of a question: answers come to a queue that lives as long as its asker."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from isthmus.v1.telemetry_pb2 import Event, Source
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.bounds import tame
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.link import Link, LossWatch
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


class AnswerListener:
    """Receives the answers to the questions of one asker, while `run` goes on."""

    def __init__(self, settings: BrokerSettings, *, reply_to: str, on_answer: Callable[[Answer], None]) -> None:
        """Listen for answers to `reply_to`, a word that no other asker uses."""
        self._settings = settings
        self._reply_to = reply_to
        self._on_answer = on_answer
        self._listening = asyncio.Event()
        self._boundary = Boundary("answer")

    @property
    def is_listening(self) -> bool:
        """Whether an answer would reach us at this moment."""
        return self._listening.is_set()

    async def wait_listening(self) -> None:
        """Wait until answers would reach us."""
        await self._listening.wait()

    async def run(self) -> None:
        """Listen until cancelled."""
        await Link(self._settings, self._session).run()

    async def _session(self, connection: AbstractConnection, on_ready: Callable[[], None]) -> None:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=100)
        loss = LossWatch()
        await loss.watch(connection=connection, channels=(channel,))
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(ANSWERS, routing_key=f"*.*.{self._reply_to}")
        await queue.consume(self._receive, no_ack=True)
        self._listening.set()
        on_ready()
        try:
            await loss.wait()
        finally:
            self._listening.clear()

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
