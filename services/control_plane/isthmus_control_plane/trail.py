"""How far the index over events was read.

Ids are given out before their transactions end: one may show up behind larger ones. So what was missing is asked for
again for a while. An id that nobody ever uses, as of a transaction that was undone, is given up after that.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from isthmus_store import event_index
from isthmus_store.event_index import News
from isthmus_store.transaction import Transaction

#: How long a transaction may take that gives an event its id.
_PATIENCE: Final = timedelta(seconds=60)
#: As many are asked for again at the most.
_MOST: Final = 5_000


class Trail:
    """Up to where events were read, and which below that were not there."""

    def __init__(self, at: int) -> None:
        self.at = at
        self._missing: dict[int, datetime] = {}

    @property
    def floor(self) -> int:
        """Up to here everything was read: who begins anew begins here."""
        return min(self._missing, default=self.at + 1) - 1

    @property
    def missing(self) -> Collection[int]:
        """What is to be asked for again."""
        return self._missing.keys()

    def read_on(self, ids: Iterable[int], *, now: datetime) -> None:
        """Take note of events behind the last one, in order."""
        for number in ids:
            room = _MOST - len(self._missing)
            gap = range(max(self.at + 1, number - max(room, 0)), number)
            self._missing |= dict.fromkeys(gap, now)
            self.at = number

    def caught_up(self, ids: Iterable[int], *, now: datetime) -> None:
        """Take note of what showed up late, and give up what never will."""
        for number in ids:
            self._missing.pop(number, None)
        self._missing = {number: since for number, since in self._missing.items() if now - since < _PATIENCE}

    def copy(self) -> "Trail":
        """Return one of its own, that is where this one is."""
        other = Trail(self.at)
        other._missing = dict(self._missing)
        return other


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of the index."""

    #: What showed up late, then what came behind the last event.
    news: Sequence[News]
    #: How far the index was read with these. Whoever fails at them goes on from where he was.
    trail: Trail
    has_more: bool


async def read_on(tx: Transaction, trail: Trail, *, most: int, now: datetime) -> Reading:
    """Read on in the index: what was missing and is there by now, and so many of the events behind it at the most."""
    late = await event_index.news_at(tx, trail.missing) if trail.missing else []
    ahead = await event_index.news(tx, after_id=trail.at, limit=most)
    following = trail.copy()
    following.caught_up((it.id for it in late), now=now)
    following.read_on((it.id for it in ahead), now=now)
    return Reading((*late, *ahead), following, has_more=len(ahead) == most)
