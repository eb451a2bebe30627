"""Which launches this process gave to which agents just now: what the store counts may not show them yet."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from isthmus_control_plane.key import AgentKey

#: How long a launch that was written is remembered, seconds: no read that decides about launches takes as long.
_REMEMBERED_S: Final = 10.0


class LaunchTally:
    """Launches that are being written, and those that were written lately.

    Many launches are decided about at the same time. Each counts the runs of agents before any of the others is stored, and
    without a tally they would all go to the agent that had the fewest.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._being_written: Counter[AgentKey] = Counter()
        self._written: deque[tuple[float, AgentKey]] = deque()

    @contextmanager
    def giving(self, *agents: AgentKey) -> Iterator[None]:
        """Count launches, one for each agent that is named, while they are written, and for all that began to read before."""
        self._being_written.update(agents)
        try:
            yield
        finally:
            self._being_written.subtract(agents)
            now = self._monotonic()
            self._written.extend((now, agent) for agent in agents)
            while self._written and self._written[0][0] < now - _REMEMBERED_S:
                self._written.popleft()

    def since(self, read_at: float) -> Counter[AgentKey]:
        """Count what was given to each agent, and is not among the runs that were read from a moment on."""
        given = +self._being_written
        for at, agent in reversed(self._written):
            if at < read_at:
                break
            given[agent] += 1
        return given
