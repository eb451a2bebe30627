"""One lock per run: a redelivered launch runs beside the first, and a termination beside both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class RunLocks:
    """Locks that exist for as long as somebody holds or awaits them."""

    def __init__(self) -> None:
        """Start with none."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def holding(self, run_id: str) -> AsyncIterator[None]:
        """Keep every other handler away from the run."""
        lock = self._locks.get(run_id)
        if lock is None:
            lock = self._locks[run_id] = asyncio.Lock()
        async with lock:
            yield
