"""Watches what this process writes to SQLite: how large each transaction is that holds the write lock, and for how long."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

_SIZED = (bytes, memoryview, str)


@dataclass
class Hold:
    """One transaction that writes, from when it had the lock to the end of its commit."""

    began: float
    #: Of all values that it was given.
    size: int = 0
    took_s: float = 0.0


@dataclass
class WriteLock:
    """All of them, in their order."""

    holds: list[Hold] = field(default_factory=list)
    _open: dict[int, Hold] = field(default_factory=dict)

    def begin(self, connection: Connection, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        """Take notice of a statement that was done."""
        if statement == "BEGIN IMMEDIATE":
            self._open[id(connection)] = Hold(time.perf_counter())
        elif (hold := self._open.get(id(connection))) is not None:
            hold.size += _size(values)

    def end(self, connection: Connection) -> None:
        """Take notice of the end of a transaction."""
        if (hold := self._open.pop(id(connection), None)) is not None:
            hold.took_s = time.perf_counter() - hold.began
            self.holds.append(hold)


def _size(values: Any) -> int:
    if isinstance(values, _SIZED):
        return len(values)
    if isinstance(values, dict):
        return sum(map(_size, values.values()))
    return sum(map(_size, values)) if isinstance(values, list | tuple) else 0


@contextmanager
def watched_writes() -> Iterator[WriteLock]:
    """Watch all databases of this process."""
    lock = WriteLock()
    listeners = (("after_cursor_execute", lock.begin), ("commit", lock.end), ("rollback", lock.end))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield lock
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)
