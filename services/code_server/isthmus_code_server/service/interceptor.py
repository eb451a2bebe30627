"""Turns every exception that a handler lets out into a status: our own words with their meaning, others without text."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from isthmus_lifecycle.boundary import Boundary, Fate
from isthmus_spool.fault import FILES_FAULT

from isthmus_code_server.attempts.errors import (
    AttemptFailedError,
    AttemptFencedError,
    AttemptFilesError,
    DedicatedElsewhereError,
    LateCallError,
)
from isthmus_code_server.errors import (
    ChildLostError,
    CodeServerError,
    MalformedRequestError,
    NotLoadedError,
    OtherLocationError,
    ZygoteLostError,
)

_boundary = Boundary("rpc")

_CODES: tuple[tuple[type[CodeServerError], grpc.StatusCode], ...] = (
    (NotLoadedError, grpc.StatusCode.FAILED_PRECONDITION),
    (AttemptFencedError, grpc.StatusCode.ABORTED),
    (DedicatedElsewhereError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ZygoteLostError, grpc.StatusCode.UNAVAILABLE),
    (LateCallError, grpc.StatusCode.UNAVAILABLE),
    (ChildLostError, grpc.StatusCode.INTERNAL),
    (MalformedRequestError, grpc.StatusCode.INVALID_ARGUMENT),
    (OtherLocationError, grpc.StatusCode.INVALID_ARGUMENT),
    (AttemptFilesError, grpc.StatusCode.INTERNAL),
    (AttemptFailedError, grpc.StatusCode.INTERNAL),
)
#: What is told beside the code, as metadata.
_FAULTS: Mapping[type[CodeServerError], tuple[tuple[str, str], ...]] = {AttemptFilesError: (FILES_FAULT,)}

#: grpc.RpcMethodHandler: generic to the type checker, not so when it runs.
_Handler = Any
_Read = Callable[[bytes], Any]
_Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]]


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """The outermost interceptor: gRPC itself would send an exception's text to the client."""

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler:
        """Wrap the handler that serves the call."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None:
            return handler
        # Decoded by the guards: gRPC itself would answer bytes that are no message with an error that nobody foresaw.
        read = partial(_read, decode=handler.request_deserializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _guard_unary(handler.unary_unary, method, read),
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _guard_stream(handler.unary_stream, method, read),
                response_serializer=handler.response_serializer,
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _guard_stream(handler.stream_stream, method, partial(_read_all, read=read)),
                response_serializer=handler.response_serializer,
            )
        return handler


def _read(body: bytes, *, decode: Callable[[bytes], Any]) -> Any:
    """Return the request that the bytes are.

    Raises:
        MalformedRequestError: They are none.
    """
    try:
        return decode(body)
    except DecodeError as error:
        raise MalformedRequestError(str(error)) from error


async def _read_all(bodies: AsyncIterator[bytes], *, read: _Read) -> AsyncIterator[Any]:
    async for body in bodies:
        yield read(body)


def _guard_unary(serve: Callable[..., Any], method: str, read: _Read) -> Callable[..., Any]:
    async def guarded(body: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        answer: Any = None
        with _stopped(method) as fate:
            answer = await serve(read(body), context)
        return answer if fate.error is None else await _refuse(context, fate.error)

    return guarded


def _guard_stream(
    serve: Callable[..., AsyncIterator[Any]], method: str, read: Callable[[Any], Any]
) -> Callable[..., AsyncIterator[Any]]:
    async def guarded(said: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        with _stopped(method) as fate:
            async for message in serve(read(said), context):
                yield message
        if fate.error is not None:
            await _refuse(context, fate.error)

    return guarded


@contextmanager
def _stopped(method: str) -> Iterator[Fate]:
    """Stop every error of a call: what we raise on purpose without a word, what nobody foresaw at the boundary."""
    told = Fate()
    with _boundary.guard(method=method) as unforeseen:
        try:
            yield told
        except (grpc.aio.AbortError, CodeServerError) as error:
            told.error = error
    told.error = told.error or unforeseen.error


async def _refuse(context: grpc.aio.ServicerContext[Any, Any], error: Exception | None) -> Any:
    """End a call with a status: an abort of the handler's own as it is, our own words with their meaning."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    for kind, code in _CODES:
        if isinstance(error, kind):
            # An agent that does not know what else is told goes by the code.
            return await context.abort(code, str(error), _FAULTS.get(kind, ()))
    return await context.abort(grpc.StatusCode.INTERNAL, "The code server failed: its log says why.")
