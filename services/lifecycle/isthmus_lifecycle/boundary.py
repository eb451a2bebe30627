"""Where an error that nobody foresaw stops: at the one thing that it concerns.

Whoever supervises many (attempts, servers, locations, deliveries, queries, watchers) has one `Boundary` and runs the work of
each of its things inside it. A loop of which there is one in a process goes on by `keep_going`. Nowhere else is `Exception` caught.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for

log = get_logger(__name__)

T = TypeVar("T")

#: First and longest pause of a loop whose step failed, seconds.
_PAUSE_MIN_S, _PAUSE_MAX_S = 0.1, 30.0


@dataclass
class Fate:
    """What became of the block that a boundary guarded."""

    #: What nobody foresaw; None when the block went well.
    error: Exception | None = None


class Boundary:
    """Catches what the work of one thing raises, so that its neighbours never notice."""

    def __init__(self, thing: str, *, passes: tuple[type[Exception], ...] = ()) -> None:
        """Name the kind of thing, as in ``attempt``: it is the log's word for it.

        Errors of the kinds in `passes` concern more than the one thing, as a database that is away: they are not stopped.
        """
        self.thing = thing
        self._passes = passes
        #: How many errors stopped here.
        self.caught = 0

    @contextmanager
    def guard(self, **ids: object) -> Iterator[Fate]:
        """Run the block; an `Exception` in it is logged with `ids`, counted, and told by the fate that is yielded.

        The caller turns that into the thing's end. Cancellation and what ends the interpreter pass.
        """
        fate = Fate()
        try:
            yield fate
        except Exception as error:
            if isinstance(error, self._passes):
                raise
            self.caught += 1
            fate.error = error
            log.exception("stopped_at_boundary", thing=self.thing, caught=self.caught, **ids)

    async def persist(self, step: Callable[[], Awaitable[T]], **ids: object) -> T:
        """Do for one thing what must come about, and return what it gives: tried again, after growing pauses, until it does."""
        backoff = Backoff(_PAUSE_MIN_S, _PAUSE_MAX_S)
        while True:
            before = cancellations()
            with self.guard(**ids) as fate:
                result = await step()
            if fate.error is None:
                return result
            heed_cancellation(before, error=fate.error)
            await asyncio.sleep(backoff.next_wait_s())


async def keep_going(step: Callable[[], Awaitable[None]], *, name: str) -> NoReturn:
    """Call a step again and again until cancelled; one that raises is logged, and called again after a growing pause.

    The step itself waits for what it has to do: one that returns at once without awaiting anything would take the loop for itself.
    """
    await keep_going_until(asyncio.Event(), step=step, name=name)
    raise AssertionError


async def keep_going_until(stopping: asyncio.Event, *, step: Callable[[], Awaitable[None]], name: str) -> None:
    """Call a step as `keep_going` does, until `stopping` is set; the step that is under way then is finished first."""
    boundary, backoff = Boundary(name), Backoff(_PAUSE_MIN_S, _PAUSE_MAX_S)
    while not stopping.is_set():  # pauses: the step waits for what it has to do
        before = cancellations()
        with boundary.guard() as fate:
            await step()
        if fate.error is None:
            backoff.reset()
        else:
            heed_cancellation(before, error=fate.error)
            await wait_for(stopping, at_most_s=backoff.next_wait_s())


def cancellations() -> int:
    """Return how often this task was cancelled so far."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def heed_cancellation(before: int, *, error: BaseException | None) -> None:
    """Raise CancelledError where this task was cancelled meanwhile, and what it awaited has made another error of that.

    Libraries do so at times, as when a connection breaks at the same moment; a loop that went on would never end then. Of a
    group's error nothing can be told: up to Python 3.12 a TaskGroup whose child fails while it waits for its children cancels
    the task that waits, and never takes that back.

    Args:
        before: What `cancellations` gave before it was awaited.
        error: What came of it.
    """
    if cancellations() > before and not isinstance(error, BaseExceptionGroup):
        raise asyncio.CancelledError
