"""Cancels a piece of work at its n-th await: not after some time, but at every place where it can be cancelled at all."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class _Counted:
    """Passes the work's awaits on to the loop, and has its task cancelled at one of them."""

    def __init__(self, work: Coroutine[Any, Any, object], *, at: int) -> None:
        self._work = work
        self._at = at
        self.seen = 0

    def __await__(self) -> Generator[Any, Any, object]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._work.__await__()
        try:
            waited_for = next(steps)
            while True:
                self.seen += 1
                if self.seen == self._at:
                    # In the next turn, as any other's cancelling: the work waits by then.
                    asyncio.get_running_loop().call_soon(task.cancel)
                try:
                    answer = yield waited_for
                except BaseException as error:  # noqa: BLE001 (it is the work's)
                    waited_for = steps.throw(error)
                else:
                    waited_for = steps.send(answer)
        except StopIteration as end:
            return end.value


async def cancel_at(work: Coroutine[Any, Any, object], *, at: int) -> bool:
    """Do the work and cancel it at its n-th await; return whether it came so far."""
    counted = _Counted(work, at=at)

    async def run() -> object:
        return await counted

    async with asyncio.TaskGroup() as tasks:
        doing = tasks.create_task(run())
        await asyncio.wait((doing,))
    return counted.seen >= at


async def cancel_at_each(
    work: Callable[[int], Coroutine[Any, Any, object]],
    then: Callable[[int], Coroutine[Any, Any, object]],
    *,
    at_most: int = 200,
) -> int:
    """Begin the work anew for each of its awaits, cancel it there, and see `then` what became of it; return how many there were."""
    for at in range(1, at_most + 1):
        has_come_so_far = await cancel_at(work(at), at=at)
        await then(at)
        if not has_come_so_far:
            return at - 1
    raise AssertionError(f"more than {at_most} awaits")
