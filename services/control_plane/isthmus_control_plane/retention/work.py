"""What every removal works with: the rules, the database, and the parts that it is cut into."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from isthmus_lifecycle.waiting import wait_for
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane.core import Core
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.retention.pace import Pace
from isthmus_control_plane.retention.rules import Rules

#: The part of the time that removal may hold the write lock. Everybody else has the rest.
SHARE: Final = 0.25

_Find = Callable[[Transaction, int], Awaitable[Sequence[Any]]]
_Remove = Callable[[WriteTransaction, Sequence[Any]], Awaitable[None]]


class Work:
    """One round's surroundings."""

    def __init__(
        self,
        core: Core,
        *,
        leadership: Leadership,
        rules: Rules,
        pace: Pace,
        share: float = SHARE,
    ) -> None:
        self.database: Final = core.database
        #: Set when the service is to end: what is removed is removed, the rest waits for the next life.
        self.stopping: Final = core.hub.stopping
        self.rules: Final = rules
        self.pace: Final = pace
        self._leadership = leadership
        self._share = share

    @asynccontextmanager
    async def part(self, *, weight: int) -> AsyncIterator[WriteTransaction]:
        """Open a transaction for a part of this weight; afterwards leave the lock to others for a while.

        Raises:
            LeaseLostError: Another control plane leads; nothing was written.
        """
        async with self._leadership.write() as tx:
            # From here to the end of the commit nobody else can write to SQLite.
            began = time.monotonic()
            yield tx
        held_s = time.monotonic() - began
        self.pace.learn(weight=weight, held_s=held_s)
        await wait_for(self.stopping, at_most_s=held_s * (1 / self._share - 1))

    async def clear(self, *, find: _Find, remove: _Remove, at_once: int | None = None) -> int:
        """Remove all that is found, as many at a time as the pace allows, or fewer; returns how many."""
        total = 0
        while not self.stopping.is_set():  # pauses: each part leaves the writer to others for a while
            rows = min(self.pace.budget, at_once or self.pace.budget)
            async with self.database.read() as tx:
                keys = await find(tx, rows)
            if not keys:
                return total
            async with self.part(weight=len(keys)) as tx:
                await remove(tx, keys)
            total += len(keys)
        return total
