"""What every call has to keep before its handler sees it: bytes that are a message, its bounds, and those of its connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from isthmus_control_plane.api.interceptor import rewrapped
from isthmus_control_plane.errors import InvalidRequestError, TooManyStreamsError, Violation
from isthmus_control_plane.validation.bounds import violations
from isthmus_control_plane.validation.refusal import refuse

_Context = grpc.aio.ServicerContext[Any, Any]
# Text, since the types are generic for the checker alone.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Behaviour = Callable[..., Any]
_Read = Callable[[bytes], Any]
_Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]"


class GateInterceptor(grpc.aio.ServerInterceptor):
    """Refuses what is out of bounds; the interceptors around it give the refusal its status."""

    def __init__(self, *, max_streams: int) -> None:
        self._max_streams = max_streams
        #: By the caller's address and port: one for each connection.
        self._streams: Counter[str] = Counter()

    async def intercept_service(
        self, continuation: _Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler | None:
        """Wrap the handler of one call; those of health and reflection are left as they are."""
        handler = await continuation(handler_call_details)
        if handler is None or not str(handler_call_details.method).startswith("/isthmus."):
            return handler
        # Decoded here: gRPC itself would answer bytes that are no message with an error that nobody foresaw.
        read = partial(_read, decode=handler.request_deserializer or _as_it_is)
        return rewrapped(
            handler,
            unary=partial(_bounded, read=read),
            stream=partial(self._bounded_stream, read=read),
            takes_bytes=True,
        )

    def _bounded_stream(self, behaviour: _Behaviour, *, read: _Read) -> _Behaviour:
        async def call(body: bytes, context: _Context) -> AsyncIterator[object]:
            request = read(body)
            connection = str(context.peer())
            if self._streams[connection] >= self._max_streams:
                raise TooManyStreamsError(most=self._max_streams)
            self._streams[connection] += 1
            try:
                async with aclosing(behaviour(request, context)) as messages:
                    async for message in messages:
                        yield message
            finally:
                self._streams[connection] -= 1
                if not self._streams[connection]:
                    del self._streams[connection]

        return call


def _bounded(behaviour: _Behaviour, *, read: _Read) -> _Behaviour:
    async def call(body: bytes, context: _Context) -> object:
        return await behaviour(read(body), context)

    return call


def _read(body: bytes, *, decode: Callable[[bytes], Any]) -> Any:
    """Return the request that the bytes are.

    Raises:
        InvalidRequestError: They are none, or one beyond the bounds.
    """
    try:
        request = decode(body)
    except DecodeError as error:
        raise InvalidRequestError([Violation("", f"the bytes are no request of this call: {error}")]) from error
    refuse(violations(request))
    return request


def _as_it_is(body: bytes) -> bytes:
    return body
