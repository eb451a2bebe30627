"""The one way in which a test waits for something that it cannot be told of, and how long a test waits at all."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

#: How much longer a wait may take than what its number says, which is what a quiet machine needs at the most: beside three
#: busy loops and another test on two processors, everything takes some three times as long. A test that passes does not wait.
PATIENCE = 5.0


def patiently(seconds: float) -> asyncio.Timeout:
    """Bound what should take so many seconds at the most on a quiet machine."""
    return asyncio.timeout(seconds * PATIENCE)


@overload
async def eventually(check: Callable[[], Awaitable[T | None]], *, within: float, every: float = ...) -> T: ...


@overload
async def eventually(check: Callable[[], T | None], *, within: float, every: float = ...) -> T: ...


async def eventually(
    check: Callable[[], T | None] | Callable[[], Awaitable[T | None]], *, within: float, every: float = 0.02
) -> T:
    """Call `check` until it returns something true, and return that.

    Args:
        check: a function or coroutine function; False, None, an empty value or an AssertionError mean "not yet".
        within: seconds on a quiet machine, after which the last AssertionError is raised, or one that quotes the last value.
        every: seconds between two calls.
    """
    deadline = asyncio.get_running_loop().time() + within * PATIENCE
    while True:
        value, failure = await _attempt(check)
        if failure is None and value:
            return value
        if asyncio.get_running_loop().time() >= deadline:
            if failure is not None:
                raise failure
            message = f"not true within {within * PATIENCE:g} s; the last value was {value!r}"
            raise AssertionError(message)
        await asyncio.sleep(every)


async def _attempt(
    check: Callable[[], T | None] | Callable[[], Awaitable[T | None]],
) -> tuple[T | None, AssertionError | None]:
    try:
        value = check()
        return (await value if inspect.isawaitable(value) else value), None
    except AssertionError as exc:
        return None, exc
