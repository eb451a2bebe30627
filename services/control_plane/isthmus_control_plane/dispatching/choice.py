"""Which runs leave the queue in one round, by priority, fairly, and in order. Pure.

Larger priorities go first. Among lines of one priority, each deployment has its turn, and in it each location; a
location's runs go in the order of their launches, past those that a limit holds back.
"""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from isthmus_store.queue_line import Needs

from isthmus_control_plane.dispatching.block import View, is_free, take
from isthmus_control_plane.key import LocationKey

_T = TypeVar("_T")


class Candidate(NamedTuple):
    """A run that waits."""

    queued_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A line, and the first of its runs, as many as are known."""

    line: str
    needs: Needs
    runs: Sequence[Candidate]
    #: Whether more runs may wait in it than are known.
    has_more: bool = True


#: Lines by name, of each location, by priority.
Lines = dict[int, dict[LocationKey, dict[str, Waiting]]]


@dataclass(slots=True)
class Choice:
    """The runs that leave, in their order, each with its line."""

    picks: list[tuple[str, Waiting]] = field(default_factory=list)
    #: A line would have given more runs than are known of it: the round ended there, so that nobody overtakes them.
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """How one round of choosing goes."""

    #: How many runs may leave.
    room: int
    #: How many left in the rounds before, so that where this one begins moves on.
    start: int = 0
    #: Runs of smaller priorities stay: not all lines of theirs are known.
    least: int | None = None
    #: To find out whose lines are to be read: what is not known of a line ends nothing.
    is_guess: bool = False


def choose(lines: Lines, view: View, *, of: Round) -> Choice:
    """Choose the runs that leave now; the view's slots are counted on.

    It costs the lines of locations that may take a run, from the largest priority down to the last that is given one.
    """
    choice = Choice()
    for priority in sorted(lines, reverse=True):
        if of.least is not None and priority < of.least:
            break
        places = {place: found for place, found in lines[priority].items() if _may_give(place, found.values(), view)}
        _Turns(choice, view, of).fill(places)
        if choice.is_cut or len(choice.picks) >= of.room:
            break
    return choice


def _may_give(place: LocationKey, lines: Collection[Waiting], view: View) -> bool:
    """Tell whether a run of a location and priority may leave: one that cannot has no turn."""
    if view.standing(place) or not is_free(Needs(place), view):
        # What holds back a run that needs nothing more than the location holds back all of them.
        return False
    return any(is_free(line.needs, view) for line in lines)


class _Queue:
    """The lines of one location and priority, as one line in the order of launches."""

    def __init__(self, place: LocationKey, lines: Iterable[Waiting], *, is_guess: bool) -> None:
        self._least = Needs(place)
        self._heap = [(line.runs[0], line.line, 0, line) for line in lines if line.runs]
        heapq.heapify(self._heap)
        self._is_guess = is_guess
        self.is_cut = False

    def next(self, view: View) -> tuple[str, Waiting] | None:
        """Take the first run that no limit holds back; None when there is none, or it is not known which it is."""
        if not is_free(self._least, view):
            # What holds back a run that needs nothing more than the location holds back all of them.
            return None
        while self._heap and not self.is_cut:
            candidate, name, index, line = self._heap[0]
            if not is_free(line.needs, view):
                # Slots are only taken in a round: nothing of this line leaves in it any more.
                heapq.heappop(self._heap)
                continue
            if index + 1 < len(line.runs):
                heapq.heapreplace(self._heap, (line.runs[index + 1], name, index + 1, line))
            else:
                heapq.heappop(self._heap)
                self.is_cut = line.has_more and not self._is_guess
            return candidate.run_id, line
        return None


@dataclass(slots=True)
class _Turns:
    choice: Choice
    view: View
    of: Round

    def fill(self, places: Mapping[LocationKey, Mapping[str, Waiting]]) -> None:
        """Let deployments, and in each of them locations, have their turns."""
        by_deployment: dict[str, list[_Queue]] = {}
        for place in sorted(places):
            queue = _Queue(place, places[place].values(), is_guess=self.of.is_guess)
            by_deployment.setdefault(place.deployment, []).append(queue)
        turns = [_turned(locations, by=self.of.start) for locations in by_deployment.values()]
        turns = _turned(turns, by=self.of.start)
        while turns and len(self.choice.picks) < self.of.room:
            turns = [rest for queues in turns if (rest := self._one_of(queues))]

    def _one_of(self, queues: list[_Queue]) -> list[_Queue]:
        """Let one run of a deployment leave; returns its locations in the order of their next turns."""
        while queues and len(self.choice.picks) < self.of.room:
            first, *others = queues
            pick = first.next(self.view)
            if pick is None:
                queues = others
                continue
            take(pick[1].needs, self.view)
            self.choice.picks.append(pick)
            if first.is_cut:
                self.choice.is_cut = True
                return others
            return [*others, first]
        return queues


def _turned(items: list[_T], *, by: int) -> list[_T]:
    """Return the items, begun with another one."""
    offset = by % len(items) if items else 0
    return items[offset:] + items[:offset]


#: Lines that are looked at together, and those that are looked at when none of them gives a run.
LINES_AT_ONCE: Final = 2_000
MOST_LINES: Final = 20_000
