"""Which runs of a backfill may be made that waited for others of it. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final

from isthmus.v1.control_plane_pb2 import BackfillGroup, BackfillWait
from isthmus_store.backfills import Move
from isthmus_store.record.backfill import Course
from isthmus_store.state import UNMET, BackfillOutcome

#: Why a run is never made.
LOST: Final = "what it waited for did not succeed"


class _Fate(Enum):
    """What is known of what a run waits for."""

    MET = auto()
    OPEN = auto()
    #: It failed, or is not made any more.
    LOST = auto()


def released(known: Sequence[Course], *, groups: Sequence[BackfillGroup], moves: Sequence[Move]) -> list[Move]:
    """Return which runs may be made now that waited for others, and which never will be, since what they wait for failed.

    Args:
        known: All runs of the backfill, as they are stored.
        groups: Its plan, whose groups stand in the order in which they are made.
        moves: What became of runs since.
    """
    outcomes = {it.number: it.outcome for it in known} | {move.number: move.outcome for move in moves}
    members: dict[int, list[Course]] = {}
    for it in sorted(known, key=lambda it: it.begin):
        members.setdefault(it.group, []).append(it)
    found: list[Move] = []
    for place, group in enumerate(groups):
        waits = [_Wait(wait, among=members.get(wait.group, []), outcomes=outcomes) for wait in group.waits]
        for it in members.get(place, ()):
            if outcomes[it.number] is not BackfillOutcome.BLOCKED:
                continue
            fates = {wait.fate(it) for wait in waits}
            if _Fate.LOST in fates:
                found.append(Move(number=it.number, outcome=BackfillOutcome.CANCELED, run_id=None, problem=LOST))
            elif _Fate.OPEN not in fates:
                found.append(Move(number=it.number, outcome=BackfillOutcome.WAITING, run_id=None))
            else:
                continue
            # What waits for this one is looked at next.
            outcomes[it.number] = found[-1].outcome
    return found


class _Wait:
    """What the runs of a group wait for, of another group or of their own."""

    def __init__(self, wait: BackfillWait, *, among: Sequence[Course], outcomes: Mapping[int, BackfillOutcome]) -> None:
        self._what = wait.what
        #: In the order of their partitions, which no two have in common.
        self._among = among
        self._outcomes = outcomes
        self._begins = [it.begin for it in among]
        self._of_all = self._fate_of(among)

    def fate(self, it: Course) -> _Fate:
        """Tell what is known of what a run waits for."""
        match self._what:
            case BackfillWait.FOR_SAME_PARTITIONS:
                last = bisect_left(self._begins, it.begin + it.partitions)
                first = max(bisect_right(self._begins, it.begin) - 1, 0)
                return self._fate_of([one for one in self._among[first:last] if _overlap(one, it)])
            case BackfillWait.FOR_EARLIER:
                return self._fate_of_earlier(it)
        return self._of_all

    def _fate_of_earlier(self, it: Course) -> _Fate:
        # Each waits for the one before it, which has waited for all before that.
        before = self._among[max(bisect_left(self._begins, it.begin) - 1, 0) : bisect_left(self._begins, it.begin)]
        return self._fate_of(before)

    def _fate_of(self, some: Sequence[Course]) -> _Fate:
        outcomes = {self._outcomes[it.number] for it in some}
        if not outcomes.isdisjoint(UNMET):
            return _Fate.LOST
        return _Fate.MET if outcomes <= {BackfillOutcome.SUCCEEDED} else _Fate.OPEN


def _overlap(one: Course, other: Course) -> bool:
    return one.begin < other.begin + other.partitions and other.begin < one.begin + one.partitions
