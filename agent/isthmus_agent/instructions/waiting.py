"""Launches that wait for a location or a server, and can be told that their run was ended meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from isthmus_agent.errors import RunEndedError
from isthmus_agent.run_key import RunKey


class WaitingLaunches:
    """Those that are in hand."""

    def __init__(self) -> None:
        """Start with none."""
        self._scopes: dict[RunKey, set[asyncio.Timeout]] = {}
        #: Told of each run that is ended, so that its launches have their turn.
        self.on_end: Callable[[RunKey], None] = lambda _: None

    @asynccontextmanager
    async def until_ended(self, key: RunKey) -> AsyncIterator[None]:
        """Wait in here for whatever a launch needs; the wait is called off when the run is ended.

        Raises:
            RunEndedError: It was.
        """
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.setdefault(key, set()).add(scope)
                try:
                    yield
                finally:
                    self._discard(key, scope)
        except TimeoutError:
            if scope.expired():
                raise RunEndedError(run=str(key)) from None
            raise

    def end(self, key: RunKey) -> None:
        """Call off the waits of a run's launches.

        To be called with the run locked, and marked as never to start: none of its launches is with a server then.
        """
        now = asyncio.get_running_loop().time()
        for scope in self._scopes.get(key, ()):
            scope.reschedule(now)
        self.on_end(key)

    def _discard(self, key: RunKey, scope: asyncio.Timeout) -> None:
        scopes = self._scopes[key]
        scopes.discard(scope)
        if not scopes:
            del self._scopes[key]
