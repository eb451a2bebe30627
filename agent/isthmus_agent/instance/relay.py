"""Passes instance queries from code servers to the broker, and answers back: it reads neither, and stores neither."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import instance_pb2 as instance
from isthmus_broker.consumer import Intake
from isthmus_broker.errors import BrokerError
from isthmus_broker.instructions import Recipient
from isthmus_broker.publisher import Publisher
from isthmus_broker.queries import QueryAnswers, QueryPublisher
from isthmus_lifecycle.boundary import Boundary, cancellations, heed_cancellation
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.number import clamped

from isthmus_agent.code_server.errors import CodeServerError
from isthmus_agent.servers.held import HeldServer

log = get_logger(__name__)

#: How long to wait before a code server is called again that ended the call, seconds.
_CALL_AGAIN_S = 0.2
#: How much of an asker's time may pass until the broker is there.
_BROKER_SHARE = 0.5
#: So many queries may be under way for one agent, and for one of its locations; one more is told that there are too many.
MOST_QUERIES = 1000
MOST_OF_ONE_LOCATION = 250
#: The same of claims for slots, for one agent: each waits long, and there is one of a run.
MOST_CLAIMS = 1000
#: No query waits longer, seconds, whatever its asker says.
MOST_QUERY_S = 60.0

#: What claims for slots are counted as, of whatever location: no location has such a name.
_CLAIMS = "*claims"
_Tell = Callable[[instance.InstanceAnswer], None]


class InstanceRelay:
    """Attaches to code servers, and passes to them the answers that `answers` brings."""

    def __init__(
        self,
        publisher: Publisher,
        recipient: Recipient,
        *,
        tasks: asyncio.TaskGroup,
        wait_heard: Callable[[], Awaitable[None]],
    ) -> None:
        """Pass queries on over `publisher`, which the caller enters and leaves; work in `tasks`.

        Whoever consumes `answers` tells by `wait_heard` when an answer would reach this process.
        """
        deployment, agent = self._deployment, self._agent = recipient.deployment, recipient.agent
        self._tasks = tasks
        self._publisher = publisher
        self._queries = QueryPublisher(publisher)
        self._wait_heard = wait_heard
        self._answers = QueryAnswers(
            deployment=deployment,
            agent=agent,
            on_answer=self._hear,
            tasks=tasks,
            allowed_sender=recipient.allowed_sender,
        )
        self._waiting: dict[str, _Waiting] = {}
        self._calls = Boundary("call of a code server")
        self._queries_under_way = Boundary("instance query")

    @property
    def answers(self) -> Intake:
        """What is to be consumed for the answers to be heard."""
        return self._answers.intake

    def attend(self, held: HeldServer, location: str) -> None:
        """Take what a server asks, from now until it is let go."""
        self._tasks.create_task(self._attend(held, location), name=f"attend {held.name}")

    async def ask(self, query: instance.InstanceQuery) -> instance.InstanceAnswer:
        """Ask for the agent itself, and return the answer, or a failure that says why there is none."""
        query.id = uuid.uuid4().hex
        answered: asyncio.Future[instance.InstanceAnswer] = asyncio.get_running_loop().create_future()
        self._take(query, location="", tell=lambda answer: None if answered.done() else answered.set_result(answer))
        try:
            async with asyncio.timeout(query.timeout_s):
                return await answered
        except TimeoutError:
            return _refusal(query.id, "nobody answered in time")

    async def _attend(self, held: HeldServer, location: str) -> None:
        while held.is_open:
            said: asyncio.Queue[instance.InstanceAnswer | None] = asyncio.Queue()
            before = cancellations()
            # What goes wrong with one server's call ends that call, and it is called again.
            with self._calls.guard(server=held.name) as fate:
                try:
                    async for asked in held.client.attach(_requests(said)):
                        self._take(asked.query, location=location, tell=said.put_nowait)
                except CodeServerError as error:
                    log.debug("attach_ended", server=held.name, problem=str(error))
                finally:
                    # gRPC goes on waiting for the next request of a call that the server has ended.
                    said.put_nowait(None)
            heed_cancellation(before, error=fate.error)
            await asyncio.sleep(_CALL_AGAIN_S)

    def _take(self, query: instance.InstanceQuery, *, location: str, tell: _Tell) -> None:
        query.timeout_s = clamped(query.timeout_s, least=0.0, most=MOST_QUERY_S)
        # A call that begins anew brings again what was not answered: it is then told by the new call.
        self._forget(query.id)
        # Runs that wait for slots take nothing of what others may ask.
        location = _CLAIMS if query.HasField("claim_slots") else location
        if self._is_full(location):
            tell(_refusal(query.id, f"agent {self._agent} has too many queries under way"))
            return
        timer = asyncio.get_running_loop().call_later(query.timeout_s, self._forget, query.id)
        self._waiting[query.id] = _Waiting(location, tell, timer)
        self._tasks.create_task(self._guarded(query, location=location), name=f"query {query.id}")

    def _is_full(self, location: str) -> bool:
        shares = Counter(waiting.location for waiting in self._waiting.values())
        if location == _CLAIMS:
            return shares[location] >= MOST_CLAIMS
        others = shares.total() - shares[_CLAIMS]
        return others >= MOST_QUERIES or shares[location] >= MOST_OF_ONE_LOCATION

    def _forget(self, query_id: str) -> "_Waiting | None":
        waiting = self._waiting.pop(query_id, None)
        if waiting is not None:
            waiting.timer.cancel()
        return waiting

    async def _guarded(self, query: instance.InstanceQuery, *, location: str) -> None:
        with self._queries_under_way.guard(query=query.id, location=location) as fate:
            await self._pass_on(query, location=location)
        if fate.error is not None:
            self._hear(_refusal(query.id, f"agent {self._agent} failed to pass the query on: {fate.error}"))

    async def _pass_on(self, query: instance.InstanceQuery, *, location: str) -> None:
        envelope = instance.QueryEnvelope(
            deployment=self._deployment, agent=self._agent, location=location, query=query
        )
        try:
            async with asyncio.timeout(query.timeout_s * _BROKER_SHARE):
                # An answer that could not come back would only cost the control plane work.
                if not query.is_optional:
                    await self._wait_heard()
                    await self._publisher.wait_connected()
                await self._queries.publish(envelope)
        except (BrokerError, TimeoutError) as error:
            text = f"agent {self._agent} cannot reach the broker: {str(error) or 'it does not answer'}"
            self._hear(_refusal(query.id, text))

    def _hear(self, answer: instance.InstanceAnswer) -> None:
        waiting = self._forget(answer.query_id)
        if waiting is None:
            log.debug("query_answer_too_late", query=answer.query_id)
            return
        waiting.tell(answer)


@dataclass(frozen=True)
class _Waiting:
    """A query under way."""

    location: str
    tell: _Tell
    #: Forgets it when its asker has given up.
    timer: asyncio.TimerHandle


def _refusal(query_id: str, text: str) -> instance.InstanceAnswer:
    failure = instance.QueryFailure(kind=instance.QueryFailure.KIND_UNAVAILABLE, message=text)
    return instance.InstanceAnswer(query_id=query_id, failure=failure)


async def _requests(said: asyncio.Queue[instance.InstanceAnswer | None]) -> AsyncIterator[code_server.AttachRequest]:
    """Yield each answer as a request, to the end of the call."""
    while (answer := await said.get()) is not None:
        yield code_server.AttachRequest(answer=answer)
