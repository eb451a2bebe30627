"""What can become of a delivery, and how long one waits that is to be delivered again."""

import asyncio
from collections import deque
from contextlib import suppress
from enum import Enum, auto
from typing import Final

#: More deliveries than this make the pause no longer.
_MOST_DOUBLINGS: Final = 30


class Settlement(Enum):
    """The four ends of a delivery; every one gets exactly one."""

    #: Its effect is durable.
    ACK = auto()
    #: Not now: deliver it again, after a pause. The broker counts, and dead-letters it beyond its queue's limit.
    RETRY = auto()
    #: Never: keep it aside for the control plane to read.
    DEAD_LETTER = auto()
    #: Nothing is said, and the broker delivers it again when the channel closes: for a process that is stopping.
    RETURN = auto()


def retry_pause_s(earlier: int, *, minimum_s: float, maximum_s: float) -> float:
    """Return how long a message waits for its next delivery, after so many earlier ones that failed."""
    return float(min(maximum_s, minimum_s * 2 ** min(max(earlier, 0), _MOST_DOUBLINGS)))


class RetryPauses:
    """Holds messages back before they are delivered again.

    A message that waits here takes one of the deliveries that the broker hands out at once. So there is a bound on how many
    wait: the one that has waited longest goes when another comes, and a queue's other messages are never kept out.
    """

    def __init__(self, *, places: int, minimum_s: float, maximum_s: float) -> None:
        """Let up to `places` messages wait."""
        self._places = places
        self._minimum_s = minimum_s
        self._maximum_s = maximum_s
        self._waiting: deque[asyncio.Event] = deque()
        self._is_over = False

    async def wait(self, earlier: int) -> None:
        """Wait as long as a message does that failed `earlier` times before this one."""
        pause_s = retry_pause_s(earlier, minimum_s=self._minimum_s, maximum_s=self._maximum_s)
        called = asyncio.Event()
        self._waiting.append(called)
        if self._is_over or len(self._waiting) > self._places:
            self._waiting.popleft().set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await called.wait()
        finally:
            with suppress(ValueError):
                self._waiting.remove(called)

    def end(self) -> None:
        """Let all go, and hold nothing back any more."""
        self._is_over = True
        while self._waiting:
            self._waiting.popleft().set()
