"""Turns every exception that a handler lets out into a status: our own words with their meaning, others without text."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from isthmus_lifecycle.log import get_logger

from isthmus_code_server.errors import (
    AttemptFencedError,
    ChildLostError,
    CodeServerError,
    DedicatedElsewhereError,
    NotLoadedError,
    ZygoteLostError,
)

log = get_logger(__name__)

_CODES: tuple[tuple[type[CodeServerError], grpc.StatusCode], ...] = (
    (NotLoadedError, grpc.StatusCode.FAILED_PRECONDITION),
    (AttemptFencedError, grpc.StatusCode.ABORTED),
    (DedicatedElsewhereError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ZygoteLostError, grpc.StatusCode.UNAVAILABLE),
    (ChildLostError, grpc.StatusCode.INTERNAL),
)

#: grpc.RpcMethodHandler: generic to the type checker, not so when it runs.
_Handler = Any
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
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _guard_unary(handler.unary_unary, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _guard_stream(handler.unary_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _guard_stream(handler.stream_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return handler


def _guard_unary(serve: Callable[..., Any], method: str) -> Callable[..., Any]:
    async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await serve(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  # the boundary: whatever it is becomes a status
            code, text = _status(error, method)
        return await context.abort(code, text)

    return guarded


def _guard_stream(serve: Callable[..., AsyncIterator[Any]], method: str) -> Callable[..., AsyncIterator[Any]]:
    async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for message in serve(request, context):
                yield message
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  # the boundary: whatever it is becomes a status
            code, text = _status(error, method)
            await context.abort(code, text)

    return guarded


def _status(error: Exception, method: str) -> tuple[grpc.StatusCode, str]:
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code, str(error)
    log.error("rpc_failed", method=method, exc_info=error)
    return grpc.StatusCode.INTERNAL, "The code server failed: its log says why."
