"""The lines of runs that wait, as this process knows them: kept from look to look, so that a look reads what changed."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from isthmus_store import run_queue
from isthmus_store.queue_line import NO_SORTING, LineName, Needs
from isthmus_store.transaction import Transaction

from isthmus_control_plane.dispatching.choice import Candidate, Lines, Waiting
from isthmus_control_plane.dispatching.ledger import NeedsMemory, stale_lines
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.fleet.world import World

#: How long heads are believed, seconds: a run that comes into a line before its head (one that is queued again) is seen
#: by the first look after that of which nobody leaves; all others are seen at once.
_BELIEVED_S: Final = 5.0
#: The same, however many leave: to read all heads takes longer than a run that has a slot is to wait.
_BELIEVED_AT_MOST_S: Final = 30.0
#: More new lines than that are read with all others, in one statement.
_ONE_BY_ONE: Final = 8


class Board:
    """The heads of lines, by priority and location.

    The rows are the truth. Each look reads which lines there are, which costs a step along the index for each, and the
    heads of those that are new. The head of a line that was there before may have left meanwhile: whoever picks a line
    reads its runs, and notes here what he found.
    """

    def __init__(self, needs: NeedsMemory, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._needs = needs
        self._monotonic = monotonic
        self._read_at = float("-inf")
        self._lines: dict[str, Waiting] = {}
        self._by_place: Lines = {}
        #: How many lines were named by which keys of tags, in each deployment.
        self._sortings: Counter[tuple[str, str]] = Counter()
        #: Those whose pools were not known when they were named, and those that this release did not name.
        self._unsure: set[str] = set()

    @property
    def lines(self) -> Lines:
        """The lines by priority, and by location."""
        return self._by_place

    @property
    def needs(self) -> dict[str, Needs]:
        """What the runs of each line need."""
        return {name: line.needs for name, line in self._lines.items()}

    async def refresh(self, tx: Transaction, names: Sequence[str], *, until: str, rules: Mapping[str, Rules]) -> None:
        """Learn of the lines that there are now.

        Args:
            tx: The transaction that read the names.
            names: The first names, in their order.
            until: There are no others before it.
            rules: The limits by which they are named.
        """
        if self._age_s > _BELIEVED_AT_MOST_S:
            self.clear()
        present, known = set(names), self._known
        gone = {name for name in known - present if name < until}
        if gone & self._unsure:
            # Their runs were put into lines that may have been here before, perhaps before those that waited there.
            self.clear()
            gone, known = set(), set()
        self.forget(gone)
        added = present - known
        if added:
            self._unsure |= {name for name in added if LineName.parse(name) is None}
            await self._learn(tx, added, among=len(names), rules=rules)

    def stale(self, *, rules: Mapping[str, Rules], world: World) -> frozenset[str]:
        """Return the lines whose names are not good any more; see `stale_lines`."""
        sortings = {deployment: it.sorting for deployment, it in rules.items()}
        if all(sorting == sortings.get(deployment, NO_SORTING) for deployment, sorting in self._sortings):
            return stale_lines(self._unsure, rules=rules, world=world)
        return stale_lines(self._known, rules=rules, world=world)

    @property
    def is_old(self) -> bool:
        """Whether the heads are to be read anew, as soon as nobody waits for that."""
        return self._age_s > _BELIEVED_S

    @property
    def _age_s(self) -> float:
        return self._monotonic() - self._read_at

    @property
    def _known(self) -> set[str]:
        return self._lines.keys() | self._unsure

    def note(self, line: Waiting) -> None:
        """Take what was read of a line's runs; none for one in which nobody waits any more."""
        if not line.runs:
            self.forget([line.line])
            return
        if line.line not in self._lines:
            name = LineName.parse(line.line)
            if name is None:
                return
            self._sortings[name.location.deployment, name.sorting] += 1
            self._unsure |= set() if name.is_complete else {line.line}
        self._lines[line.line] = line
        place = self._by_place.setdefault(line.needs.priority, {}).setdefault(line.needs.location, {})
        place[line.line] = line

    def clear(self) -> None:
        """Have all lines read anew by the next look."""
        self._lines, self._by_place, self._unsure = {}, {}, set()
        self._sortings.clear()
        self._read_at = self._monotonic()

    def clear_if_old(self) -> None:
        """The same, if they are to be read anew."""
        if self.is_old:
            self.clear()

    def forget(self, names: Iterable[str]) -> None:
        """Have lines read anew by the next look that finds them."""
        for name in list(names):
            self._unsure.discard(name)
            line, parsed = self._lines.pop(name, None), LineName.parse(name)
            if line is None or parsed is None:
                continue
            kind = (parsed.location.deployment, parsed.sorting)
            self._sortings[kind] -= 1
            if not self._sortings[kind]:
                del self._sortings[kind]
            places = self._by_place[line.needs.priority]
            of_place = places[line.needs.location]
            del of_place[name]
            if not of_place:
                del places[line.needs.location]
            if not places:
                del self._by_place[line.needs.priority]

    async def _learn(self, tx: Transaction, added: Collection[str], *, among: int, rules: Mapping[str, Rules]) -> None:
        """Read the heads of lines that are new, of so many first ones."""
        if len(added) > _ONE_BY_ONE:
            heads = [head for head in await run_queue.heads(tx, limit=among) if head.line in added]
        else:
            found = [await run_queue.head(tx, name) for name in added]
            heads = [head for head in found if head is not None]
        needs = await self._needs.of(tx, {head.line: head.run_id for head in heads}, rules=rules)
        for head in heads:
            if head.line in needs:
                self.note(Waiting(head.line, needs[head.line], (Candidate(head.queued_at, head.run_id),)))
