"""Passes instance queries from code servers to the broker, and answers back: it reads neither, and stores neither."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import instance_pb2 as instance
from isthmus_broker.errors import BrokerError
from isthmus_broker.publisher import Publisher
from isthmus_broker.queries import QueryAnswerConsumer, QueryPublisher
from isthmus_broker.settings import BrokerSettings
from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import CodeServerError
from isthmus_agent.servers.held import HeldServer

log = get_logger(__name__)

#: How long to wait before a code server is called again that ended the call, seconds.
_CALL_AGAIN_S = 0.2
#: How much of an asker's time may pass until the broker is there.
_BROKER_SHARE = 0.5

_Tell = Callable[[instance.InstanceAnswer], None]


class InstanceRelay:
    """Attaches to code servers, and hears answers while `run` goes on."""

    def __init__(
        self,
        publisher: Publisher,
        settings: BrokerSettings,
        *,
        deployment: str,
        agent: str,
        tasks: asyncio.TaskGroup,
        allowed_sender: str | None = None,
    ) -> None:
        """Pass queries on over `publisher`, which the caller enters and leaves; work in `tasks`."""
        self._deployment = deployment
        self._agent = agent
        self._tasks = tasks
        self._publisher = publisher
        self._queries = QueryPublisher(publisher)
        self._answers = QueryAnswerConsumer(
            settings, deployment=deployment, agent=agent, on_answer=self._hear, allowed_sender=allowed_sender
        )
        self._waiting: dict[str, _Tell] = {}

    async def run(self) -> NoReturn:
        """Hear answers until cancelled."""
        await self._answers.run()
        raise AssertionError

    def attend(self, held: HeldServer, location: str) -> None:
        """Take what a server asks, from now until it is let go."""
        self._tasks.create_task(self._attend(held, location), name=f"attend {held.name}")

    async def _attend(self, held: HeldServer, location: str) -> None:
        while held.is_open:
            said: asyncio.Queue[instance.InstanceAnswer | None] = asyncio.Queue()
            try:
                async for asked in held.client.attach(_requests(said)):
                    self._take(asked.query, location=location, tell=said.put_nowait)
            except CodeServerError as error:
                log.debug("attach_ended", server=held.name, problem=str(error))
            finally:
                # gRPC goes on waiting for the next request of a call that the server has ended.
                said.put_nowait(None)
            await asyncio.sleep(_CALL_AGAIN_S)

    def _take(self, query: instance.InstanceQuery, *, location: str, tell: _Tell) -> None:
        self._waiting[query.id] = tell
        asyncio.get_running_loop().call_later(query.timeout_s, self._waiting.pop, query.id, None)
        self._tasks.create_task(self._pass_on(query, location=location), name=f"query {query.id}")

    async def _pass_on(self, query: instance.InstanceQuery, *, location: str) -> None:
        envelope = instance.QueryEnvelope(
            deployment=self._deployment, agent=self._agent, location=location, query=query
        )
        try:
            async with asyncio.timeout(query.timeout_s * _BROKER_SHARE):
                # An answer that could not come back would only cost the control plane work.
                if not query.is_optional:
                    await self._answers.wait_consuming()
                    await self._publisher.wait_connected()
                await self._queries.publish(envelope)
        except (BrokerError, TimeoutError) as error:
            text = f"agent {self._agent} cannot reach the broker: {str(error) or 'it does not answer'}"
            failure = instance.QueryFailure(kind=instance.QueryFailure.KIND_UNAVAILABLE, message=text)
            self._hear(instance.InstanceAnswer(query_id=query.id, failure=failure))

    def _hear(self, answer: instance.InstanceAnswer) -> None:
        tell = self._waiting.pop(answer.query_id, None)
        if tell is None:
            log.debug("query_answer_too_late", query=answer.query_id)
            return
        tell(answer)


async def _requests(said: asyncio.Queue[instance.InstanceAnswer | None]) -> AsyncIterator[code_server.AttachRequest]:
    """Yield each answer as a request, to the end of the call."""
    while (answer := await said.get()) is not None:
        yield code_server.AttachRequest(answer=answer)
