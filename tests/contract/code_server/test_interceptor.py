"""What a handler lets out becomes a status: our own words with their meaning, others without their text."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1.code_server_pb2_grpc import CodeServerServicer, CodeServerStub, add_CodeServerServicer_to_server
from isthmus_code_server.attempts.errors import AttemptFencedError
from isthmus_code_server.errors import NotLoadedError, ZygoteLostError
from isthmus_code_server.service.interceptor import ErrorInterceptor

if TYPE_CHECKING:
    from isthmus.v1.code_server_pb2_grpc import CodeServerAsyncStub


class Failing(CodeServerServicer):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def Describe(self, request: Any, context: Any) -> Any:  # noqa: N802  # the contract's name
        raise self._error

    async def ReadLogs(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802  # the contract's name
        for chunk in self._chunks():
            yield chunk

    def _chunks(self) -> Iterator[Any]:
        raise self._error


@asynccontextmanager
async def failing_with(error: Exception, tmp_path: Path) -> AsyncIterator["CodeServerAsyncStub"]:
    server = grpc.aio.server(interceptors=(ErrorInterceptor(),))
    add_CodeServerServicer_to_server(Failing(error), server)  # type: ignore[abstract, unused-ignore]  # the others are not called
    address = f"unix:{tmp_path}/s.sock"
    server.add_insecure_port(address)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield cast("CodeServerAsyncStub", CodeServerStub(channel))
    finally:
        await server.stop(None)


async def status_of(stub: "CodeServerAsyncStub") -> list[grpc.aio.AioRpcError]:
    errors = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Describe(pb.DescribeRequest())
    errors.append(caught.value)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.ReadLogs(pb.ReadLogsRequest()):
            pass
    errors.append(caught.value)
    return errors


async def test_a_foreign_exception_leaks_no_text(tmp_path: Path) -> None:
    async with failing_with(ValueError("the password is swordfish"), tmp_path) as stub:
        for error in await status_of(stub):
            assert error.code() == grpc.StatusCode.INTERNAL
            assert "swordfish" not in (error.details() or "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotLoadedError("loading"), grpc.StatusCode.FAILED_PRECONDITION),
        (AttemptFencedError("r", attempt=1, latest=2), grpc.StatusCode.ABORTED),
        (ZygoteLostError(), grpc.StatusCode.UNAVAILABLE),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_our_own_errors_keep_their_meaning(tmp_path: Path, error: Exception, code: grpc.StatusCode) -> None:
    async with failing_with(error, tmp_path) as stub:
        for caught in await status_of(stub):
            assert (caught.code(), caught.details()) == (code, str(error))


def as_it_is(body: bytes) -> bytes:
    return body


async def test_bytes_that_are_no_request_are_refused_as_such(tmp_path: Path) -> None:
    async with failing_with(ValueError(), tmp_path), grpc.aio.insecure_channel(f"unix:{tmp_path}/s.sock") as channel:
        calls: list[Any] = [
            channel.unary_unary(
                "/isthmus.v1.CodeServer/Describe", request_serializer=as_it_is, response_deserializer=as_it_is
            )(b"\xff"),
            channel.unary_stream(
                "/isthmus.v1.CodeServer/ReadLogs", request_serializer=as_it_is, response_deserializer=as_it_is
            )(b"\xff").read(),
        ]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
