"""The way of instance queries through the supervisor: processes of the user's ask over a unix socket, an agent answers.

The socket has no file: its name is in Linux's abstract namespace, goes with the process, and is told to the zygote by an
environment variable, so that whatever starts below it can ask.
"""

import asyncio
import math
import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from isthmus.v1.code_server_pb2 import AttachRequest, AttachResponse
from isthmus.v1.instance_pb2 import InstanceAnswer, InstanceQuery, QueryFailure
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_code_server.definitions.instance_client import FRAME_HEAD, MAX_FRAME_BYTES
from isthmus_code_server.errors import MalformedRequestError

log = get_logger(__name__)

#: After a query without an answer, what the framework asks for itself is not passed on for so long, seconds: a hundred
#: steps must not each wait for a control plane that is away.
AWAY_S = 10.0
#: The longest time that a query waits for its answer, seconds.
MAX_WAIT_S = 600.0
#: How many queries wait for their answers at a time: more than a run of many threads asks at once.
MAX_PENDING = 1000
#: Linux's struct ucred: the process, user and group at the other end of a unix socket.
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, eq=False)
class _Pending:
    query: InstanceQuery
    answer: "asyncio.Future[InstanceAnswer]"


@dataclass(kw_only=True)
class InstanceGate:
    """Takes queries from this server's processes and hands them to the agent that is attached."""

    #: The socket's name, with "@" for the byte that makes it abstract.
    address: str
    _pending: dict[str, _Pending] = field(default_factory=dict, init=False)
    #: What the agent is to be told; None ends its call.
    _outgoing: "asyncio.Queue[InstanceQuery | None] | None" = field(default=None, init=False)
    _away_until: float = field(default=0.0, init=False)
    _is_closed: bool = field(default=False, init=False)
    _tasks: asyncio.TaskGroup | None = field(default=None, init=False)
    _connections: "set[asyncio.Task[None]]" = field(default_factory=set, init=False)
    _hearing: "asyncio.Task[None] | None" = field(default=None, init=False)
    _boundary: Boundary = field(
        default_factory=lambda: Boundary("instance connection", passes=(MalformedRequestError,)), init=False
    )

    @property
    def is_attached(self) -> bool:
        """Whether an agent holds the call open."""
        return self._outgoing is not None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take queries while the context is entered."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind("\0" + self.address[1:])
        server = await asyncio.start_unix_server(self._take, sock=listener)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                self.close()
                server.close()
                for connection in self._connections:
                    connection.cancel()

    def close(self) -> None:
        """End the agent's call, and take none any more: a call that is open would hold up the server's end."""
        self._is_closed = True
        self._detach()

    # -------------------------------------------------------------------------------------------------- the agent's side

    async def attach(self, requests: AsyncIterator[AttachRequest]) -> AsyncIterator[AttachResponse]:
        """Give the agent what is asked and not answered, then what comes; its answers come by `requests`."""
        if self._is_closed or self._tasks is None:
            return
        self._detach()
        outgoing: asyncio.Queue[InstanceQuery | None] = asyncio.Queue()
        self._outgoing, self._away_until = outgoing, 0.0
        log.info("agent_attached", unanswered=len(self._pending))
        for pending in self._pending.values():
            outgoing.put_nowait(pending.query)
        self._hearing = self._tasks.create_task(self._hear(requests, outgoing), name="instance answers")
        while (query := await outgoing.get()) is not None:
            yield AttachResponse(query=query)

    async def _hear(
        self, requests: AsyncIterator[AttachRequest], outgoing: "asyncio.Queue[InstanceQuery | None]"
    ) -> None:
        try:
            with self._boundary.guard():
                async for request in requests:
                    pending = self._pending.get(request.answer.query_id)
                    if pending is not None and not pending.answer.done():
                        pending.answer.set_result(request.answer)
        except MalformedRequestError as error:
            log.warning("instance_answer_malformed", problem=str(error))
        finally:
            # Here and not in the generator, which may be left standing when the call is cancelled.
            outgoing.put_nowait(None)
            if self._outgoing is outgoing:
                self._outgoing = None
                log.info("agent_detached")

    def _detach(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            self._hearing = None

    # ----------------------------------------------------------------------------------------------------- the user's side

    async def ask(self, query: InstanceQuery) -> InstanceAnswer:
        """Return the answer, or a failure that says why there is none, within the query's own time."""
        if query.id in self._pending:
            return _unavailable(query, "a query of the same id is under way")
        if len(self._pending) >= MAX_PENDING:
            return _unavailable(query, f"{MAX_PENDING} queries of this code server wait for their answers already")
        if query.is_optional and (not self.is_attached or time.monotonic() < self._away_until):
            return _unavailable(query, "no control plane was there a moment ago")
        pending = _Pending(query, asyncio.get_running_loop().create_future())
        self._pending[query.id] = pending
        if self._outgoing is not None:
            self._outgoing.put_nowait(query)
        try:
            async with asyncio.timeout(_usable_timeout(query.timeout_s)):
                answer = await pending.answer
        except TimeoutError:
            text = "the control plane did not answer" if self.is_attached else "no agent is attached to the code server"
            answer = _unavailable(query, text)
        finally:
            del self._pending[query.id]
        is_away = answer.failure.kind == QueryFailure.KIND_UNAVAILABLE
        self._away_until = time.monotonic() + AWAY_S if is_away else 0.0
        return answer

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tasks is None or self._is_closed:
            writer.close()
            return
        task = self._tasks.create_task(self._serve(reader, writer), name="instance connection")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        # Here and not in the task, which does not run at all when it is cancelled before it begins.
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        if _peer_user(writer) != os.getuid():
            log.warning("instance_asked_by_another_user")
            return
        with self._boundary.guard():
            try:
                await self._answer_all(reader, writer)
            except* (asyncio.IncompleteReadError, ConnectionError):
                log.debug("instance_asker_gone")

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the queries of one connection, one after another."""
        query = await _read_query(reader)
        while query is not None:
            async with asyncio.TaskGroup() as both:
                # What comes next is read meanwhile: an asker that hangs up takes its query along, and its place.
                following = both.create_task(_read_query(reader))
                body = (await self.ask(query)).SerializeToString()
                writer.write(FRAME_HEAD.pack(len(body)) + body)
                await writer.drain()
            query = following.result()


async def _read_query(reader: asyncio.StreamReader) -> InstanceQuery | None:
    """Read the next query; None for what is none."""
    (length,) = FRAME_HEAD.unpack(await reader.readexactly(FRAME_HEAD.size))
    if length > MAX_FRAME_BYTES:
        log.warning("instance_query_too_large", size=length)
        return None
    try:
        return InstanceQuery.FromString(await reader.readexactly(length))
    except DecodeError as error:
        log.warning("instance_query_malformed", problem=str(error))
        return None


def _peer_user(writer: asyncio.StreamWriter) -> int:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(raw)[1]
    return user


def _usable_timeout(asked_s: float) -> float:
    """Return how long to wait for an answer, seconds, whatever a process of the user's asked for."""
    return min(max(asked_s, 0.0), MAX_WAIT_S) if math.isfinite(asked_s) else MAX_WAIT_S


def _unavailable(query: InstanceQuery, text: str) -> InstanceAnswer:
    failure = QueryFailure(kind=QueryFailure.KIND_UNAVAILABLE, message=text)
    return InstanceAnswer(query_id=query.id, failure=failure)
