"""The console's one connection to the control plane, and the token that opens both."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Self, TypeVar, cast

from isthmus_client.client import ControlPlaneClient
from isthmus_client.discovery import find_token
from isthmus_client.errors import UnauthenticatedError

T = TypeVar("T")


def closing(told: AsyncIterator[T]) -> aclosing[AsyncGenerator[T, None]]:
    """Close what the client tells once it is read as far as somebody wanted: the call behind it ends then, and not later."""
    return aclosing(cast("AsyncGenerator[T, None]", told))


class Upstream:
    """Opens the connection when a page first needs it, so that the console starts and stays without a control plane.

    Enter it to use it; leaving it closes the connection.
    """

    def __init__(self, address: str, *, deployment: str) -> None:
        self.address = address
        self.deployment = deployment
        self._open = AsyncExitStack()
        self._client: ControlPlaneClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def token(self) -> str:
        """Return the token of the control plane, as it is now: whoever has it may see the pages.

        Raises:
            UnauthenticatedError: There is none here.
            TokenError: What a variable names is no token, or cannot be read.
        """
        found = find_token(self.address)
        if found is None:
            raise UnauthenticatedError(self.address, source=None)
        return found.value

    def client(self) -> ControlPlaneClient:
        """Return the client. It connects with its first call, which says so when nobody answers.

        Raises:
            UnauthenticatedError: There is no token for the control plane here.
        """
        if self._client is None:
            self._client = ControlPlaneClient(self.address, deployment=self.deployment, token=self.token())
            self._open.push_async_exit(self._client)
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether the control plane can be heard at this moment."""
        return self._client is not None and self._client.is_connected
