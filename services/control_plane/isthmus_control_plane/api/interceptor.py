"""Turn every exception of a handler into a status that tells the caller enough, and nobody too much."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn, TypeAlias
from uuid import uuid4

import grpc
from grpc_status import rpc_status
from isthmus_lifecycle.log import get_logger
from isthmus_store.errors import InvalidCursorError, TransientStoreError

from isthmus_control_plane.api import status
from isthmus_control_plane.errors import ControlPlaneError

log = get_logger(__name__)

_Context = grpc.aio.ServicerContext[Any, Any]
# Text, since the types are generic for the checker alone.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]"
_Wrap: TypeAlias = "Callable[[Callable[..., Any]], Callable[..., Any]]"
#: How a call ends that has its status, or whose caller hung up while it was told: gRPC knows both.
_ENDED = (grpc.aio.AbortError, grpc.aio.InternalError)
#: Gives the status for an exception, or None to let it pass.
_Judge = Callable[[Exception, str], status.Status | None]


def known_error(error: Exception, method: str) -> status.Status | None:
    """Judge the errors that handlers raise on purpose, and a database that is away."""
    if isinstance(error, ControlPlaneError):
        return status.status_of(error)
    if isinstance(error, TransientStoreError):
        log.warning("store_away", method=method, error=str(error))
        return status.store_away()
    if isinstance(error, InvalidCursorError):
        return status.invalid_field("page_token", description=str(error))
    return None


def unexpected_error(error: Exception, method: str) -> status.Status:
    """Judge everything else: the text stays in the log, the caller gets an id to quote."""
    error_id = uuid4().hex[:12]
    log.error("call_failed", method=method, error_id=error_id, exc_info=error)
    return status.unexpected(error_id)


def rewrapped(handler: _Handler, *, unary: _Wrap, stream: _Wrap, takes_bytes: bool = False) -> _Handler:
    """Return a handler with its behaviour wrapped; calls that no service of ours has are left as they are.

    With `takes_bytes` the wrapping is given each request as it arrived, and decodes it.
    """
    decode = None if takes_bytes else handler.request_deserializer
    if handler.unary_unary is not None:
        return grpc.unary_unary_rpc_method_handler(
            unary(handler.unary_unary),
            request_deserializer=decode,
            response_serializer=handler.response_serializer,
        )
    if handler.unary_stream is not None:
        return grpc.unary_stream_rpc_method_handler(
            stream(handler.unary_stream),
            request_deserializer=decode,
            response_serializer=handler.response_serializer,
        )
    return handler


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Answers a call with the status that a judge finds for the handler's exception."""

    def __init__(self, judge: _Judge) -> None:
        self._judge = judge

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler | None:
        """Wrap the handler of one call; those of health and reflection are left as they are."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or not method.startswith("/isthmus."):
            return handler
        return rewrapped(
            handler, unary=partial(self._unary, method=method), stream=partial(self._stream, method=method)
        )

    def _unary(self, behaviour: Callable[..., Any], *, method: str) -> Callable[..., Any]:
        async def call(request: object, context: _Context) -> object:
            try:
                return await behaviour(request, context)
            except _ENDED:
                raise
            except Exception as error:  # noqa: BLE001 - the one boundary of every call
                await self._abort(error, context=context, method=method)

        return call

    def _stream(self, behaviour: Callable[..., Any], *, method: str) -> Callable[..., Any]:
        async def call(request: object, context: _Context) -> AsyncIterator[object]:
            try:
                # Whatever ends the call also ends the handler, at once and not when it is collected.
                async with aclosing(behaviour(request, context)) as messages:
                    async for message in messages:
                        yield message
            except _ENDED:
                raise
            except Exception as error:  # noqa: BLE001 - the one boundary of every call
                await self._abort(error, context=context, method=method)

        return call

    async def _abort(self, error: Exception, *, context: _Context, method: str) -> NoReturn:
        found = self._judge(error, method)
        if found is None:
            raise error
        await context.abort_with_status(rpc_status.to_status(found))
        raise error
