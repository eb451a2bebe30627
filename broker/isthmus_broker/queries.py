"""The channel for instance queries: agents pass on what user code asks, a control plane answers, nobody keeps either.

Queries and answers are as short-lived as the wait of who asks: the queues are classic ones in memory, a message is gone
when its asker has given up, and a full queue refuses instead of growing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from isthmus.v1.instance_pb2 import InstanceAnswer, QueryEnvelope
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_broker.bounds import tame
from isthmus_broker.compression import compress, decompress
from isthmus_broker.consumer import Consumer, Intake
from isthmus_broker.delivery import Delivery
from isthmus_broker.errors import MalformedMessageError
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.topology import QUERIES, QUERY_ANSWERS, query_answer_queue

log = get_logger(__name__)

#: How many answers an agent may be handed that it has not passed on yet.
_ANSWER_PREFETCH = 200


@dataclass(frozen=True)
class ReceivedQuery:
    """A query as it came from the broker."""

    envelope: QueryEnvelope
    #: The account that the broker verified as the sender.
    sender: str | None


class QueryPublisher:
    """Passes queries on, for an agent."""

    def __init__(self, publisher: Publisher) -> None:
        """Publish over `publisher`, which the caller enters and leaves."""
        self._publisher = publisher

    async def publish(self, envelope: QueryEnvelope) -> None:
        """Publish a query. Raises what `Publisher.publish` raises."""
        await self._publisher.publish(
            OutgoingMessage(
                exchange=QUERIES,
                routing_key="",
                body=envelope.SerializeToString(),
                expires_in_s=envelope.query.timeout_s,
                is_durable=False,
            )
        )


class QueryConsumer:
    """Consumes queries, for a control plane; several share the queue.

    Handlers run concurrently up to the prefetch. Whatever becomes of a query, it is settled: who asks has a deadline.
    """

    def __init__(
        self, settings: BrokerSettings, *, prefetch: int, handle: Callable[[ReceivedQuery], Awaitable[None]]
    ) -> None:
        """Prepare to consume."""
        self._handle = handle
        self._boundary = Boundary("query")
        self._consumer = Consumer(settings, (Intake(QUERIES, prefetch, self._on_delivery),))
        self._tasks: asyncio.TaskGroup | None = None

    async def wait_consuming(self) -> None:
        """Wait until the broker delivers to us."""
        await self._consumer.wait_consuming()

    async def run(self) -> None:
        """Consume until cancelled; what is in hand then goes back to the queue."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._consumer.run()

    def _on_delivery(self, delivery: Delivery) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._work(delivery))

    async def _work(self, delivery: Delivery) -> None:
        try:
            envelope = decode_query(delivery.body)
        except MalformedMessageError as error:
            log.warning("query_malformed", sender=delivery.sender, size=len(delivery.body), problem=error.problem)
        else:
            # Who asked gives up by itself, and a query is no poison to keep.
            with self._boundary.guard(agent=envelope.agent, query=envelope.query.id):
                await self._handle(ReceivedQuery(envelope, delivery.sender))
        await delivery.settle(Settlement.ACK)


class QueryAnswerPublisher:
    """Sends answers to agents, for a control plane."""

    def __init__(self, publisher: Publisher) -> None:
        """Publish over `publisher`, which the caller enters and leaves."""
        self._publisher = publisher

    async def publish(self, answer: InstanceAnswer, *, deployment: str, agent: str, expires_in_s: float) -> None:
        """Publish an answer; nobody keeps it when the agent is not there. Raises what `Publisher.publish` raises."""
        body, encoding = encode_answer(answer)
        await self._publisher.publish(
            OutgoingMessage(
                exchange=QUERY_ANSWERS,
                routing_key=query_answer_queue(deployment, agent),
                body=body,
                content_encoding=encoding,
                expires_in_s=expires_in_s,
                is_mandatory=False,
                is_durable=False,
            )
        )


class QueryAnswers:
    """Hears the answers for one agent, over the connection on which it takes its instructions.

    Its intake is exclusive: RabbitMQ lets one process at a time hear an agent's answers, and so be the agent.
    """

    def __init__(
        self,
        *,
        deployment: str,
        agent: str,
        on_answer: Callable[[InstanceAnswer], None],
        tasks: asyncio.TaskGroup,
        allowed_sender: str | None = None,
    ) -> None:
        """Prepare to hear; with `allowed_sender`, what is not verifiably that account's is dropped."""
        self._on_answer = on_answer
        self._boundary = Boundary("query answer")
        self._allowed_sender = allowed_sender
        self._queue = query_answer_queue(deployment, agent)
        self._tasks = tasks

    @property
    def intake(self) -> Intake:
        """What is to be consumed."""
        return Intake(self._queue, _ANSWER_PREFETCH, self._on_delivery, is_exclusive=True)

    def _on_delivery(self, delivery: Delivery) -> None:
        with self._boundary.guard(sender=delivery.sender):
            self._hear(delivery)
        self._tasks.create_task(delivery.settle(Settlement.ACK))

    def _hear(self, delivery: Delivery) -> None:
        if self._allowed_sender is not None and delivery.sender != self._allowed_sender:
            log.warning("query_answer_from_wrong_sender", sender=delivery.sender)
            return
        try:
            answer = decode_answer(delivery.body, content_encoding=delivery.content_encoding)
        except MalformedMessageError as error:
            log.warning("query_answer_malformed", problem=error.problem)
            return
        self._on_answer(answer)


def encode_answer(answer: InstanceAnswer) -> tuple[bytes, str | None]:
    """Return an answer's bytes and their content encoding."""
    return compress(answer.SerializeToString())


def decode_answer(body: bytes, *, content_encoding: str | None) -> InstanceAnswer:
    """Return the answer that the bytes are.

    Raises:
        MalformedMessageError: they are none.
    """
    expected = "an answer to a query"
    try:
        answer = InstanceAnswer.FromString(decompress(body, content_encoding=content_encoding, expected=expected))
    except DecodeError as error:
        raise MalformedMessageError(expected=expected, problem=f"the bytes are none ({error})") from error
    tame(answer)
    return answer


def decode_query(body: bytes) -> QueryEnvelope:
    """Return the query that the bytes are, and from whom.

    Raises:
        MalformedMessageError: they are none.
    """
    try:
        envelope = QueryEnvelope.FromString(body)
    except DecodeError as error:
        raise MalformedMessageError(expected="a query", problem=f"the bytes are none ({error})") from error
    tame(envelope)
    return envelope
