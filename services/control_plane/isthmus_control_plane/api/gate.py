"""What every call has to keep before its handler sees it: the bounds of its message, and of its connection's streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from isthmus_control_plane.api.interceptor import rewrapped
from isthmus_control_plane.errors import TooManyStreamsError
from isthmus_control_plane.validation.bounds import violations
from isthmus_control_plane.validation.refusal import refuse

_Context = grpc.aio.ServicerContext[Any, Any]
# Text, since the types are generic for the checker alone.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Behaviour = Callable[..., Any]
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
        return rewrapped(handler, unary=_bounded, stream=self._bounded_stream)

    def _bounded_stream(self, behaviour: _Behaviour) -> _Behaviour:
        async def call(request: Any, context: _Context) -> AsyncIterator[object]:
            refuse(violations(request))
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


def _bounded(behaviour: _Behaviour) -> _Behaviour:
    async def call(request: Any, context: _Context) -> object:
        refuse(violations(request))
        return await behaviour(request, context)

    return call
