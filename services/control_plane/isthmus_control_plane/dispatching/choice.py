"""Which runs leave the queue in one round, by priority, fairly, and in order. Pure.

Larger priorities go first. Among lines of one priority, each deployment has its turn, and in it each location; a
location's runs go in the order of their launches, past those that a limit holds back.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from isthmus_control_plane.dispatching.block import View, is_free, take
from isthmus_control_plane.dispatching.line import Needs
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


@dataclass(slots=True)
class Choice:
    """The runs that leave, in their order, each with its line."""

    picks: list[tuple[str, Waiting]] = field(default_factory=list)
    #: A line would have given more runs than are known of it: the round ended there, so that nobody overtakes them.
    is_cut: bool = False


def choose(lines: Iterable[Waiting], view: View, *, room: int, start: int = 0) -> Choice:
    """Choose the runs that leave now; the view's slots are counted on.

    Args:
        lines: All lines in which runs wait, or those of the largest priorities.
        view: What decides.
        room: How many runs may leave.
        start: How many left in the rounds before, so that where this one begins moves on.
    """
    choice = Choice()
    open_locations = dict[LocationKey, bool]()
    by_priority: dict[int, list[Waiting]] = {}
    for line in lines:
        location = line.needs.location
        if location not in open_locations:
            open_locations[location] = not view.standing(location)
        if open_locations[location] and is_free(line.needs, view):
            by_priority.setdefault(line.needs.priority, []).append(line)
    for priority in sorted(by_priority, reverse=True):
        _Round(choice, view, room).fill(by_priority[priority], start=start)
        if choice.is_cut or len(choice.picks) >= room:
            break
    return choice


class _Queue:
    """The lines of one location and priority, as one line in the order of launches."""

    def __init__(self, lines: Iterable[Waiting]) -> None:
        self._heap = [(line.runs[0], line.line, 0, line) for line in lines if line.runs]
        heapq.heapify(self._heap)
        self.is_cut = False

    def next(self, view: View) -> tuple[str, Waiting] | None:
        """Take the first run that no limit holds back; None when there is none, or it is not known which it is."""
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
                self.is_cut = line.has_more
            return candidate.run_id, line
        return None


@dataclass(slots=True)
class _Round:
    choice: Choice
    view: View
    room: int

    def fill(self, lines: Iterable[Waiting], *, start: int) -> None:
        """Let deployments, and in each of them locations, have their turns."""
        by_deployment: dict[str, dict[LocationKey, list[Waiting]]] = {}
        for line in sorted(lines, key=lambda it: it.needs.location):
            location = line.needs.location
            by_deployment.setdefault(location.deployment, {}).setdefault(location, []).append(line)
        turns = [
            _turned([_Queue(of_one) for of_one in locations.values()], by=start) for locations in by_deployment.values()
        ]
        turns = _turned(turns, by=start)
        while turns and len(self.choice.picks) < self.room:
            turns = [rest for queues in turns if (rest := self._one_of(queues))]

    def _one_of(self, queues: list[_Queue]) -> list[_Queue]:
        """Let one run of a deployment leave; returns its locations in the order of their next turns."""
        while queues and len(self.choice.picks) < self.room:
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


#: Lines that are looked at together.
LINES_AT_ONCE: Final = 2_000
