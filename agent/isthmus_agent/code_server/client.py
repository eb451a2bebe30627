"""One code server as the agent calls it: gRPC over its socket, with errors in the agent's own words."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1.code_server_pb2_grpc import CodeServerStub
from isthmus_broker.bounds import tame
from isthmus_spool.fault import FILES_FAULT

from isthmus_agent.code_server.dialling import Opening, open_socket
from isthmus_agent.code_server.errors import (
    AttemptFilesError,
    CodeServerNotReadyError,
    CodeServerRefusedError,
    CodeServerUnavailableError,
    DedicatedElsewhereError,
    LoadTimeoutError,
    StaleAttemptError,
)
from isthmus_agent.run_key import RunKey

if TYPE_CHECKING:
    # Written for the type checker only: there is no such class at run time.
    from isthmus.v1.code_server_pb2_grpc import CodeServerAsyncStub

M = TypeVar("M", bound=Message)

#: A snapshot of a large project is one message.
_MAX_MESSAGE_BYTES = 256 * 1024**2
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    # A server that is starting makes its socket a second or so after us: look often, a look costs nothing.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
    # A proxy from the environment is not asked about a unix socket.
    ("grpc.enable_http_proxy", 0),
    # An opening's number is used again for another server: their connections are never to be shared.
    ("grpc.use_local_subchannel_pool", 1),
)
#: How often it is looked whether a server that starts has made its socket, seconds: a look costs nothing.
_LOOK_EVERY_S = 0.05
#: Codes that say that the server or the way to it broke, not that it refused.
_UNAVAILABLE_CODES = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)


class CodeServerClient:
    """A channel to one code server. Close it when the server is gone.

    Every call raises CodeServerUnavailableError, CodeServerNotReadyError or CodeServerRefusedError.
    """

    def __init__(self, *, server: str, address: str) -> None:
        """Prepare calls to `server` at `address`; nothing is opened before the first call."""
        self._server = server
        self._address = address
        self._is_closed = False
        self._opening: Opening | None = None
        self._channel: grpc.aio.Channel | None = None
        self._known_stub: CodeServerAsyncStub | None = None

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._is_closed = True
        channel, self._channel, self._known_stub = self._channel, None, None
        if channel is not None:
            await channel.close()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.close()

    async def describe(self, *, timeout_s: float) -> code_server.DescribeResponse:
        """Wait for the server to come up and load its definitions; return what they are, or why they failed."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        with self._errors("Describe"):
            try:
                async with asyncio.timeout_at(deadline):
                    stub = await self._wait_for_stub("Describe")
            except TimeoutError as error:
                cause = f"it made no socket within {timeout_s:g} s"
                raise CodeServerUnavailableError(server=self._server, call="Describe", cause=cause) from error
            left_s = max(0.0, deadline - asyncio.get_running_loop().time())
            try:
                response = await stub.Describe(code_server.DescribeRequest(), timeout=left_s, wait_for_ready=True)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise LoadTimeoutError(server=self._server, timeout_s=timeout_s) from error
                raise
            tame(response)
            return response

    async def validate_run(
        self, request: instruction.RunRequest, *, timeout_s: float
    ) -> code_server.ValidateRunResponse:
        """Ask the definitions whether a request is valid."""
        message = code_server.ValidateRunRequest(request=request)
        return await self._call("ValidateRun", lambda stub: stub.ValidateRun(message, timeout=timeout_s))

    async def start_run(
        self, request: instruction.RunRequest, *, not_after: Timestamp, timeout_s: float
    ) -> code_server.StartRunResponse:
        """Start an attempt, once, and not any more after `not_after`, by the machine's clock.

        Raises:
            StaleAttemptError: a later attempt was seen.
            AttemptFilesError: there is no room for its files.
            DedicatedElsewhereError: the server takes one run, and has taken another.
        """
        message = code_server.StartRunRequest(request=request, not_after=not_after)
        return await self._call("StartRun", lambda stub: stub.StartRun(message, timeout=timeout_s))

    async def cancel_run(self, run: RunKey, *, grace_s: float, timeout_s: float) -> code_server.CancelRunResponse:
        """End an attempt; returns when its process is gone."""
        message = code_server.CancelRunRequest(run=run.to_proto(), grace_s=grace_s)
        return await self._call("CancelRun", lambda stub: stub.CancelRun(message, timeout=timeout_s))

    async def list_runs(self, *, timeout_s: float) -> frozenset[RunKey]:
        """Return the attempts that live there."""
        response = await self._call(
            "ListRuns",
            lambda stub: stub.ListRuns(code_server.ListRunsRequest(), timeout=timeout_s, wait_for_ready=True),
        )
        return frozenset(RunKey.of(active.run) for active in response.runs)

    async def evaluate_schedule(
        self, request: code_server.EvaluateScheduleRequest, *, timeout_s: float
    ) -> code_server.EvaluateScheduleResponse:
        """Ask a schedule which runs it wants."""
        return await self._call("EvaluateSchedule", lambda stub: stub.EvaluateSchedule(request, timeout=timeout_s))

    async def evaluate_sensor(
        self, request: code_server.EvaluateSensorRequest, *, timeout_s: float
    ) -> code_server.EvaluateSensorResponse:
        """Ask a sensor which runs it wants."""
        return await self._call("EvaluateSensor", lambda stub: stub.EvaluateSensor(request, timeout=timeout_s))

    async def attach(
        self, answers: AsyncIterator[code_server.AttachRequest]
    ) -> AsyncGenerator[code_server.AttachResponse, None]:
        """Give what the server's processes ask of their instance, and take the answers; closing it ends the call."""
        with self._errors("Attach"):
            call = (await self._wait_for_stub("Attach")).Attach(answers, wait_for_ready=True)
            try:
                async for asked in call:
                    tame(asked)
                    yield asked
            finally:
                call.cancel()

    async def _call(self, name: str, ask: Callable[["CodeServerAsyncStub"], Awaitable[M]]) -> M:
        with self._errors(name):
            stub = self._stub()
            if stub is None:
                raise CodeServerUnavailableError(server=self._server, call=name, cause="it has no socket")
            response = await ask(stub)
            tame(response)
            return response

    async def _wait_for_stub(self, call: str) -> "CodeServerAsyncStub":
        while not self._is_closed:
            if (stub := self._stub()) is not None:
                return stub
            await asyncio.sleep(_LOOK_EVERY_S)
        raise CodeServerUnavailableError(server=self._server, call=call, cause="it is gone")

    def _stub(self) -> "CodeServerAsyncStub | None":
        """Return the way to call the server; None while it has no socket."""
        if self._known_stub is None and not self._is_closed and (opening := open_socket(self._address)) is not None:
            self._opening = opening
            self._channel = grpc.aio.insecure_channel(opening.address, options=_OPTIONS)
            # The generated stub serves both kinds of channel; its type tells only of the blocking one.
            self._known_stub = cast("CodeServerAsyncStub", CodeServerStub(self._channel))
        return self._known_stub

    @contextmanager
    def _errors(self, call: str) -> Iterator[None]:
        """Translate gRPC's errors, here and nowhere else."""
        try:
            yield
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            # Nobody cancelled us: the channel was closed in the middle of the call, as its server is gone.
            raise CodeServerUnavailableError(server=self._server, call=call, cause="it is gone") from None
        except grpc.aio.AioRpcError as error:
            cause = error.details() or error.code().name
            if FILES_FAULT in tuple(error.trailing_metadata() or ()):
                raise AttemptFilesError(server=self._server, cause=cause) from error
            match error.code():
                case code if code in _UNAVAILABLE_CODES:
                    raise CodeServerUnavailableError(server=self._server, call=call, cause=cause) from error
                case grpc.StatusCode.FAILED_PRECONDITION:
                    raise CodeServerNotReadyError(server=self._server, call=call) from error
                case grpc.StatusCode.ABORTED:
                    raise StaleAttemptError(server=self._server, cause=cause) from error
                case grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise DedicatedElsewhereError(server=self._server, cause=cause) from error
                case _:
                    raise CodeServerRefusedError(server=self._server, call=call, cause=cause) from error
