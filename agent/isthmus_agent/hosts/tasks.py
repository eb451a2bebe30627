"""The tasks of a host: they end with it, instead of keeping it open."""

import asyncio
from types import TracebackType
from typing import Self


class OwnTasks:
    """A task group whose tasks are cancelled when it is left. One that fails ends the block, as in any task group."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._keeper: asyncio.Task[None] | None = None
        self._inner = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        """Begin; tasks may be made from now on."""
        await self._group.__aenter__()
        is_ready = asyncio.Event()
        self._keeper = self._group.create_task(self._keep(is_ready), name="host")
        await is_ready.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what runs, and wait for its end. The block's own error passes as it is."""
        if self._keeper is not None:
            self._keeper.cancel()
        if isinstance(error, asyncio.CancelledError):
            # Perhaps the group's own doing, because one of the tasks failed: it wants to know.
            await self._group.__aexit__(kind, error, trace)
        else:
            await self._group.__aexit__(None, None, None)

    @property
    def group(self) -> asyncio.TaskGroup:
        """Where tasks are made."""
        return self._inner

    async def _keep(self, is_ready: asyncio.Event) -> None:
        async with self._inner:
            is_ready.set()
            await asyncio.Event().wait()
