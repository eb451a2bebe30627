"""Which message a fact goes into, and when that is sent: a storm is a few messages, whatever its size. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isthmus_store.record.alert import AlertGroup

from isthmus_control_plane.alerting.policy import Pace

#: So many subjects have messages of their own in the time that `every` says; all others have one together.
MOST_SUBJECTS: Final = 3
#: What goes on happening is gathered for as many times `wait` at the most.
MOST_WAITS: Final = 6
#: The subject of what is told together.
TOGETHER: Final = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fact goes."""

    #: Of the message; `TOGETHER` for the one about all else.
    dedup: str
    due_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """What a policy has gathered and told lately."""

    #: What is gathered, by what it is about and whether it tells an end.
    gathered: Mapping[tuple[str, int], AlertGroup]
    #: What was told within `every`: what each message was about, and when, oldest first.
    told: Sequence[tuple[str, datetime]]
    pace: Pace
    now: datetime

    def place(self, dedup: str, *, is_over: bool = False) -> Place:
        """Decide where a fact about a subject goes."""
        if (dedup, is_over) in self.gathered:
            return Place(dedup, self._joined(self.gathered[dedup, is_over]))
        last = self._last_told(dedup)
        if is_over and (last is not None or (dedup, 0) in self.gathered):
            # Whoever was told of a thing by itself is told so of its end.
            return Place(dedup, self.now + self.pace.wait)
        if last is not None:
            return Place(dedup, last + self.pace.every)
        if len(self._subjects()) < MOST_SUBJECTS:
            return Place(dedup, self.now + self.pace.wait)
        return Place(TOGETHER, self._due_together(is_over=is_over))

    def _joined(self, group: AlertGroup) -> datetime:
        """Wait a little longer for more of the same, unless it is held back, or was waited for long enough."""
        latest = group.opened_at + MOST_WAITS * self.pace.wait
        return max(group.due_at, min(self.now + self.pace.wait, latest))

    def _due_together(self, *, is_over: bool) -> datetime:
        known = self.gathered.get((TOGETHER, is_over))
        if known is not None:
            return known.due_at
        last = self._last_told(TOGETHER)
        return last + self.pace.every if last is not None else self.now + MOST_WAITS * self.pace.wait

    def _last_told(self, dedup: str) -> datetime | None:
        return max((at for about, at in self.told if about == dedup), default=None)

    def _subjects(self) -> set[str]:
        told = {about for about, _ in self.told}
        return (told | {dedup for dedup, _ in self.gathered}) - {TOGETHER}
