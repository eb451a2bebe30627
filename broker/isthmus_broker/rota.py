"""Deals out what waits for one reader in many lines, from each in turn: a long line holds up itself, and no other."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Rota(Generic[T]):
    """Lines of items. Each keeps its order; who takes is given the first of one line, then of the next."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lines: dict[str, deque[T]] = {}
        #: The lines that are not empty, in the order of their turns.
        self._turns: deque[str] = deque()
        self._has_some = asyncio.Event()

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def put(self, line: str, item: T) -> None:
        """Put an item at the end of its line."""
        if line not in self._lines:
            self._lines[line] = deque()
            self._turns.append(line)
        self._lines[line].append(item)
        self._has_some.set()

    def waiting(self, line: str) -> int:
        """Return how many items a line has."""
        return len(self._lines.get(line, ()))

    async def wait(self) -> None:
        """Wait until there is an item."""
        await self._has_some.wait()

    def next(self) -> T | None:
        """Return the item whose turn it is, and leave it where it is; None when there is none."""
        return self._lines[self._turns[0]][0] if self._turns else None

    def take(self) -> T:
        """Take the item whose turn it is; its line has its next turn after all others.

        Raises:
            IndexError: There is none.
        """
        line = self._turns.popleft()
        item = self._lines[line].popleft()
        if self._lines[line]:
            self._turns.append(line)
        else:
            self._drop(line)
        return item

    def forget(self, line: str) -> None:
        """Forget a line with all that waits in it."""
        if line in self._lines:
            self._turns.remove(line)
            self._drop(line)

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()
        self._turns.clear()
        self._has_some.clear()

    def _drop(self, line: str) -> None:
        del self._lines[line]
        if not self._lines:
            self._has_some.clear()
