"""What the groups of calls of the blocking client share: how they wait for the event loop in its thread."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

_Result = TypeVar("_Result")


class BlockingCalls:
    """A group of calls over the connection of the blocking client that they are mixed into."""

    _loop: asyncio.AbstractEventLoop | None
    _connected: "ControlPlaneClient | None"

    @property
    def _client(self) -> "ControlPlaneClient":
        if self._connected is None:
            raise RuntimeError("Enter the client first: with BlockingClient(address) as client")
        return self._connected

    def _wait(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        if self._loop is None:
            work.close()
            raise RuntimeError("The client is closed: use it inside its `with` statement")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _pulled(self, stream: AsyncIterator[_Result]) -> Iterator[_Result]:
        async def pull() -> _Result | None:
            return await anext(stream, None)

        async def close() -> None:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

        try:
            while (pulled := self._wait(pull())) is not None:
                yield pulled
        finally:
            if self._loop is not None:
                self._wait(close())
