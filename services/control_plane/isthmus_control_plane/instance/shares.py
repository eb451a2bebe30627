"""Fair shares of the database for those who ask: whoever asks much waits behind himself, and nobody else does."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager

from isthmus_control_plane.errors import TooManyQueriesError


class Shares:
    """A number of places, of which each asker in turn gets the next that is free."""

    def __init__(self, *, places: int, most_each: int) -> None:
        """Let `places` work at once, and each asker have `most_each` queries under way, whatever they wait for."""
        self._free = places
        self._most_each = most_each
        self._under_way: Counter[Hashable] = Counter()
        self._lines: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @contextmanager
    def admitted(self, asker: Hashable) -> Iterator[None]:
        """Count a query as under way while the block runs.

        Raises:
            TooManyQueriesError: The asker has as many as it may.
        """
        if self._under_way[asker] >= self._most_each:
            raise TooManyQueriesError(most=self._most_each)
        self._under_way[asker] += 1
        try:
            yield
        finally:
            self._under_way[asker] -= 1
            if not self._under_way[asker]:
                del self._under_way[asker]

    @asynccontextmanager
    async def place(self, asker: Hashable) -> AsyncIterator[None]:
        """Wait for a place in the asker's turn, and keep it while the block runs."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(asker)
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, asker: Hashable) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(asker, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The place came in the same moment: somebody else gets it.
                self._leave()
            raise

    def _leave(self) -> None:
        """Hand a place to the next asker's first, or keep it free."""
        while self._lines:
            asker, line = self._lines.popitem(last=False)
            turn = line.popleft()
            if line:
                self._lines[asker] = line
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
