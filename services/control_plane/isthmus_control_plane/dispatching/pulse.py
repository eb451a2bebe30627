"""How many runs leave the queue, as this process sees it."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

_WINDOW_S: Final = 60.0


class QueuePulse:
    """Counts runs that leave the queue, in all and in the last minute."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._beats: deque[tuple[float, int]] = deque()
        #: In all.
        self.total = 0

    def beat(self, count: int) -> None:
        """Count runs that left just now."""
        self.total += count
        if count:
            self._beats.append((self._monotonic(), count))
        self._forget()

    @property
    def last_minute(self) -> int:
        """How many left in the last minute."""
        self._forget()
        return sum(count for _, count in self._beats)

    def _forget(self) -> None:
        while self._beats and self._beats[0][0] < self._monotonic() - _WINDOW_S:
            self._beats.popleft()
