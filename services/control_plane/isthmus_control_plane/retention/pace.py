"""How much is removed at a time, so that nobody waits for it: decided from how long the part before took. Pure."""

from collections.abc import Sequence
from typing import Final

from isthmus_store.retention.runs import DueRun

#: How long others may be made to wait at the most, seconds.
LIMIT_S: Final = 0.020
#: How long SQLite's write lock is to be held, seconds: half of that, since the next part may cost twice what the last one did.
SQLITE_S: Final = LIMIT_S / 2
#: How long a part may take on PostgreSQL, where it locks nothing but runs that ended long ago, seconds.
POSTGRESQL_S: Final = 0.1
#: Bounds of a part, in events of ordinary size. Below the least, the commit alone is what costs.
_LEAST: Final = 50
_MOST: Final = 5_000
_FIRST: Final = 100
#: By how much the next part may be larger, or smaller, than the last one.
_MOST_GROWTH: Final = 1.5
_MOST_SHRINKING: Final = 0.5


class Pace:
    """Knows how large the next part may be."""

    def __init__(self, *, target_s: float = SQLITE_S) -> None:
        """Let a part take about `target_s`."""
        self._target_s = target_s
        self.budget = _FIRST
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        #: Parts so far, the longest time that one took, seconds, and how many took longer than `LIMIT_S`.
        self.parts, self.longest_s, self.late = 0, 0.0, 0

    def learn(self, *, weight: int, held_s: float) -> None:
        """Take note of what a part of this weight cost."""
        self.parts += 1
        self.longest_s = max(self.longest_s, held_s)
        self.late += held_s > LIMIT_S
        factor = min(max(self._target_s / max(held_s, 1e-6), _MOST_SHRINKING), _MOST_GROWTH)
        # A small part that was quick does not tell what a large one costs.
        if factor < 1 or weight * 2 >= self.budget:
            self.budget = min(max(int(self.budget * factor), _LEAST), _MOST)

    def fitting(self, due: Sequence[DueRun]) -> list[DueRun]:
        """Return the first runs that fit into a part together; none if the first one alone is too large for it."""
        fitting: list[DueRun] = []
        left = self.budget
        for run in due:
            left -= run.weight
            if left < 0:
                break
            fitting.append(run)
        return fitting
