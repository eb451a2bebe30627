"""Looks through the queue whenever something changed, and dispatches what may leave it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store import run_queue, runs, slot_claims
from isthmus_store.errors import TransientStoreError
from isthmus_store.queue_line import LineName, Needs, behind
from isthmus_store.record.run import AttemptRef, Run
from isthmus_store.run_queue import DEFERRED, Departure
from isthmus_store.signal import LaunchRefused
from isthmus_store.state import RunReason
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock, history
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import ledger
from isthmus_control_plane.dispatching.block import View, blocks, has_full_way, room_of, take
from isthmus_control_plane.dispatching.board import Board
from isthmus_control_plane.dispatching.choice import LINES_AT_ONCE, MOST_LINES, Candidate, Round, Waiting, choose
from isthmus_control_plane.dispatching.departure import Moment, claims_slots, departure
from isthmus_control_plane.dispatching.ledger import Ledger, NeedsMemory, stale_lines
from isthmus_control_plane.dispatching.pulse import QueuePulse
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.dispatching.sorter import Sorter
from isthmus_control_plane.dispatching.waits import Findings, Waits
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import AgentKey

log = get_logger(__name__)

#: Runs that leave the queue in one round, in one transaction: it holds SQLite's only write lock meanwhile.
ROOM: Final = 25
#: How often one look reads lines whose heads turned out to be others than it had believed.
_CORRECTIONS: Final = 4
_UNFORESEEN: Final = "the control plane could not dispatch the run; its log has the details under the run's id"


@dataclass(slots=True)
class _Look:
    """What one look found: what leaves, with what each takes, what cannot leave, and what is to be sorted first."""

    departures: dict[str, Departure] = field(default_factory=dict)
    needs: dict[str, Needs] = field(default_factory=dict)
    failed: list[AttemptRef] = field(default_factory=list)
    seen: World | None = None
    rules: Mapping[str, Rules] = field(default_factory=dict)
    stale: frozenset[str] = frozenset()
    #: The lines of which runs were read, and these runs.
    read: dict[str, Waiting] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    #: Somebody may leave, though nobody was found yet who does.
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a look decides on."""

    seen: World
    books: Ledger
    #: Nothing is counted on in it.
    at_first: View

    @classmethod
    def of(cls, seen: World, books: Ledger) -> "_Facts":
        return cls(seen, books, books.view(seen.fleet))

    def view(self) -> View:
        return self.at_first.again()


@dataclass(frozen=True, slots=True)
class _Walk:
    """The first lines of the queue."""

    names: list[str]
    #: What all lines before it are known by.
    until: str
    #: Of smaller priorities not all lines are known.
    least: int | None = None

    @classmethod
    def of(cls, names: list[str], *, limit: int) -> "_Walk":
        """Take it that there are no others, unless there are as many as were asked for."""
        if len(names) < limit:
            return cls(names, DEFERRED)
        last = LineName.parse(names[-1])
        # Of the last priority, all locations are to have their turns.
        return cls(names, f"{names[-1]} ", last.priority + 1 if last is not None else None)

    @property
    def is_all(self) -> bool:
        return self.until == DEFERRED


class Dequeuer:
    """Hands queued runs to agents, and notes of the others why they wait.

    A run that cannot be dispatched for a reason that nobody foresaw fails: it would hold up its whole line.
    """

    def __init__(
        self,
        core: Core,
        *,
        memory: world.SyncMemory,
        dispatcher: OutboxDispatcher,
        waits: Waits,
        needs: NeedsMemory | None = None,
    ) -> None:
        self._core = core
        self._memory = memory
        self._dispatcher = dispatcher
        self._waits = waits
        self._needs = needs or NeedsMemory()
        self._board = Board(self._needs)
        self._sorter = Sorter(core)
        #: Runs that were let go by this process.
        self.pulse = QueuePulse()
        self._lines = Boundary("queued line", passes=(TransientStoreError,))
        self._runs = Boundary("queued run", passes=(TransientStoreError,))

    async def step(self) -> None:
        """Dispatch all that may leave the queue now."""
        while await self.look() and not self._core.hub.stopping.is_set():
            pass

    async def look(self) -> bool:
        """Let some runs leave, fairly; returns whether there may be more. Costs what leaves, however many wait."""
        at, before = clock.now(), self.pulse.total
        found = await self._find(at=at)
        if found.stale and found.seen is not None:
            return await self._sorter.sort(found.stale, rules=found.rules, world=found.seen) > 0
        # Until it is known who left.
        self._board.forget(found.read)
        await self._dispatch(found, at=at)
        for ref in found.failed:
            await self._refuse(ref, at=at)
        for line in found.read.values():
            self._note_rest(line, found=found)
        return found.is_open or self.pulse.total > before

    async def _find(self, *, at: datetime) -> _Look:
        if not self._board.lines:
            # Each run that ends rings: while nobody waits, it is not to cost a transaction.
            async with self._core.database.look() as tx:
                if await run_queue.is_empty(tx):
                    return self._nobody()
        # Whatever is accepted from here on may let runs leave that this look leaves.
        self._core.hub.heeds_acceptance = True
        async with self._core.database.read() as tx:
            return await self._look(tx, at=at)

    async def _look(self, tx: Transaction, *, at: datetime) -> _Look:
        walk = await self._walk(tx) if not self._board.lines else None
        if walk is not None and not walk.names:
            return self._nobody()
        seen = await world.read(tx, memory=self._memory, at=at)
        facts = _Facts.of(seen, await ledger.read(tx, self._needs, deployments=_deployments(seen)))
        found = _Look(seen=seen, rules=facts.books.rules)
        if walk is None and await self._first(tx, facts=facts, found=found):
            # Why the others wait is told by the look that follows: whoever leaves is not to wait for that.
            return found
        walk = walk or await self._walk(tx)
        if not walk.names:
            return self._nobody()
        if await self._round(tx, walk, facts=facts, found=found):
            return found
        if not walk.is_all or self._board.is_old:
            # Nobody of these may leave: whoever waits behind them still may, and so may one that came before a head.
            walk = walk if walk.is_all else await self._walk(tx, limit=MOST_LINES)
            self._board.clear_if_old()
            if await self._round(tx, replace(walk, until=DEFERRED, least=None), facts=facts, found=found):
                return found
        view = facts.view()
        self._note(Findings(self._board.needs, view))
        self._core.hub.heeds_acceptance = any(has_full_way(location, view) for location, _ in view.on_the_way)
        return found

    async def _walk(self, tx: Transaction, *, limit: int = LINES_AT_ONCE) -> _Walk:
        return _Walk.of(await run_queue.names(tx, limit=limit), limit=limit)

    def _nobody(self) -> _Look:
        """Note that nobody waits."""
        self._board.clear()
        self._note(Findings())
        self._core.hub.heeds_acceptance = False
        return _Look()

    async def _first(self, tx: Transaction, *, facts: _Facts, found: _Look) -> bool:
        """Look at the lines that may go before those of which somebody leaves by what is known: as a rule these are few."""
        guess = choose(self._board.lines, facts.view(), of=Round(ROOM, start=self.pulse.total, is_guess=True))
        if not guess.picks:
            return False
        least = min(line.needs.priority for _, line in guess.picks)
        names = await run_queue.names(tx, limit=LINES_AT_ONCE, before=behind(least))
        if len(names) == LINES_AT_ONCE:
            return False
        return await self._round(tx, _Walk(names, behind(least), least), facts=facts, found=found)

    async def _round(self, tx: Transaction, walk: _Walk, *, facts: _Facts, found: _Look) -> bool:
        """Look at lines; returns whether somebody leaves, or the lines are to be sorted first."""
        rules, seen = facts.books.rules, facts.seen
        await self._board.refresh(tx, walk.names, until=walk.until, rules=rules)
        held = stale_lines((it.line for it in facts.books.held), rules=rules, world=seen)
        found.stale = held | self._board.stale(rules=rules, world=seen)
        if found.stale:
            # What is sorted comes into lines that may be known here, before what waits there.
            self._board.clear()
            return True
        return await self._choose(tx, Round(ROOM, start=self.pulse.total, least=walk.least), facts=facts, found=found)

    async def _choose(self, tx: Transaction, of: Round, *, facts: _Facts, found: _Look) -> bool:
        """Choose what leaves: the heads tell whose lines are read, and what is read tells who leaves."""
        choice = choose(self._board.lines, facts.view(), of=replace(of, is_guess=True))
        for _ in range(_CORRECTIONS):
            unread = {line.line: line for _, line in choice.picks if line.line not in found.read}
            if not unread:
                break
            for line in unread.values():
                await self._read(tx, line, room=room_of(line.needs, facts.view(), most=ROOM), found=found)
            choice = choose(self._board.lines, facts.view(), of=of)
        by = Moment.of(self._core, seen=facts.seen, view=facts.view(), at=clock.now())
        for run_id, line in choice.picks:
            # A head that was not read is the first of its location's next round.
            run = found.runs.get(run_id)
            if run is None:
                continue
            with self._runs.guard(run=run.run_id, location=run.location) as fate:
                claims = claims_slots(line.needs, facts.books.rules)
                found.departures[run_id] = await departure(tx, run, by=by, claims_slots=claims)
                found.needs[run_id] = line.needs
            found.failed += [run.ref] if fate.error is not None else []
        found.is_open = bool(choice.picks) and not (found.departures or found.failed)
        return bool(choice.picks)

    async def _read(self, tx: Transaction, line: Waiting, *, room: int, found: _Look) -> None:
        """Read those of a line's runs that may leave now, and the one behind them."""
        name = line.line
        self._board.forget([name])
        with self._lines.guard(line=name, location=line.needs.location.name):
            oldest = await run_queue.oldest(tx, name, limit=room + 1)
            candidates = [Candidate(run.queued_at, run.run_id) for run in oldest]
            found.read[name] = Waiting(name, line.needs, candidates, has_more=len(oldest) > room)
            found.runs |= {run.run_id: run for run in oldest}
            self._board.note(found.read[name])

    def _note_rest(self, line: Waiting, *, found: _Look) -> None:
        """Note who is the head of a line now, when all left that were to leave."""
        chosen = {run.run_id for run in line.runs if run.run_id in found.departures}
        if chosen <= found.left:
            rest = [run for run in line.runs if run.run_id not in chosen]
            self._board.note(replace(line, runs=rest[:1], has_more=True))

    def _note(self, found: Findings) -> None:
        hub = self._core.hub
        for key in self._waits.note(found, watched=hub.watched_lines):
            hub.line_changed(key)

    async def _dispatch(self, found: _Look, *, at: datetime) -> None:
        """Let runs leave in one transaction; when it fails, each in one of its own, so that one of them fails alone."""
        with self._runs.guard(runs=len(found.departures)) as together:
            await self._write(found.departures, found=found, at=at)
        if together.error is None:
            return
        for run_id, it in found.departures.items():
            with self._runs.guard(run=run_id) as alone:
                await self._write({run_id: it}, found=found, at=at)
            if alone.error is not None:
                await self._refuse(AttemptRef(run_id, it.command.attempt), at=at)

    async def _write(self, departures: Mapping[str, Departure], *, found: _Look, at: datetime) -> None:
        if not departures:
            return
        with self._core.tally.giving(*(AgentKey(it.command.deployment, it.agent) for it in departures.values())):
            async with self._core.database.write() as tx:
                left = await run_queue.dispatch(tx, await self._allowed(tx, departures, found=found), at=at)
                claiming = [run.run_id for run in left if claims_slots(found.needs[run.run_id], found.rules)]
                await slot_claims.mark(tx, claiming)
        # At once: a launch that comes now is dispatched directly, and may not overtake these on the way to the broker.
        self._dispatcher.offer(*(departures[run.run_id].command for run in left))
        self.pulse.beat(len(left))
        found.left |= {run.run_id for run in left}
        for run in left:
            log.info("run_dispatched", run=run.run_id, agent=run.agent)
            self._core.hub.run_changed(run.run_id)

    async def _allowed(
        self, tx: WriteTransaction, departures: Mapping[str, Departure], *, found: _Look
    ) -> dict[str, Departure]:
        """Return those that may still leave: another control plane may have filled slots since they were counted."""
        await slot_claims.lock(tx)
        if found.seen is None:
            return dict(departures)
        books = await ledger.read(tx, self._needs, deployments=_deployments(found.seen))
        view = books.view(found.seen.fleet)
        allowed: dict[str, Departure] = {}
        for run_id, it in departures.items():
            if not blocks(found.needs[run_id], view):
                take(found.needs[run_id], view)
                allowed[run_id] = it
        return allowed

    async def _refuse(self, ref: AttemptRef, *, at: datetime) -> None:
        """End a run that cannot be dispatched."""
        with self._runs.guard(run=ref.run_id):
            news = LaunchRefused(attempt=ref.attempt, reason=RunReason.INTERNAL_ERROR, message=_UNFORESEEN)
            async with self._core.database.write() as tx:
                signaled = await runs.signal(tx, ref.run_id, news, at=at)
                if signaled.decision.is_change:
                    await history.tell_end(tx, signaled.run, at=at)
            self.pulse.beat(1)
            self._core.hub.run_changed(ref.run_id)


def _deployments(seen: World) -> set[str]:
    return {key.deployment for key in seen.locations}
