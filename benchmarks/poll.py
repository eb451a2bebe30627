"""Waits for what nobody can tell of: servers and user code of other processes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

_STAMP_POLL_S = 0.005


async def poll(check: Callable[[], Awaitable[bool]], *, every_s: float) -> None:
    """Ask until the answer is yes. The caller sets the deadline."""
    while not await check():  # noqa: ASYNC110 (there is no event to wait for)
        await asyncio.sleep(every_s)


async def read_stamp(path: Path) -> float:
    """Wait for the file in which user code says when it ran, and return that, in seconds since 1970."""

    async def is_written() -> bool:
        return path.exists() and path.stat().st_size > 0  # noqa: ASYNC240 (a small file in memory)

    await poll(is_written, every_s=_STAMP_POLL_S)
    return float(path.read_text())  # noqa: ASYNC240 (a small file in memory)
