"""Launches that wait for a location or a server, and can be told that their run was ended meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from isthmus_agent.errors import RunEndedError
from isthmus_agent.run_key import RunKey


class WaitingLaunches:
    """Those that are in hand."""

    def __init__(self) -> None:
        """Start with none."""
        self._scopes: dict[RunKey, set[asyncio.Timeout]] = {}
        #: The tasks that do nothing but wait.
        self._resting: set[asyncio.Task[object]] = set()
        self._is_leaving = False
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

    @contextmanager
    def resting(self) -> Iterator[Callable[[], None]]:
        """Wait in here for something that may take long, and call what is given once it came.

        An agent that stops cancels the task that waits, and does not wait for it: what was taken down is the next agent's.
        """
        task = asyncio.current_task()
        if task is None:
            yield lambda: None
            return
        self._resting.add(task)
        if self._is_leaving:
            task.cancel()
        try:
            yield lambda: self._resting.discard(task)
        finally:
            self._resting.discard(task)

    def leave(self) -> None:
        """Cancel all that do nothing but wait, and those that are about to."""
        self._is_leaving = True
        for task in tuple(self._resting):
            task.cancel()

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
