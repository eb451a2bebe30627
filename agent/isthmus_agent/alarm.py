"""Calls back at a moment, or not at all if another moment is set before it comes."""

import asyncio
import contextlib
from collections.abc import Callable


def earliest(*moments: float | None) -> float | None:
    """Return the first of some moments; None if there is none."""
    return min((moment for moment in moments if moment is not None), default=None)


class Alarm:
    """Rings once per setting, as a task of the given group: it ends with it."""

    def __init__(self, tasks: asyncio.TaskGroup, on_ring: Callable[[], None], *, name: str) -> None:
        """Call `on_ring` when it rings."""
        self._tasks = tasks
        self._on_ring = on_ring
        self._name = name
        self._at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def set(self, at: float | None) -> None:
        """Ring at a moment of the event loop's clock, in place of the one set before; None for never."""
        if at == self._at:
            return
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._at = at
        if at is not None:
            self._task = self._tasks.create_task(self._wait(at), name=self._name)

    async def _wait(self, at: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(at):
                await asyncio.Event().wait()
        self._task = self._at = None
        self._on_ring()
