"""Looks through the queue whenever something changed, and dispatches what may leave it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store import run_queue, runs
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.queue import Head
from isthmus_store.record.run import AttemptRef, Run
from isthmus_store.run_queue import Departure
from isthmus_store.signal import LaunchRefused
from isthmus_store.state import RunReason
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock, history
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import ledger, queue
from isthmus_control_plane.dispatching.block import View, blocks, first_block, has_full_way, take
from isthmus_control_plane.dispatching.choice import LINES_AT_ONCE, Candidate, Waiting, choose
from isthmus_control_plane.dispatching.departure import departure
from isthmus_control_plane.dispatching.ledger import Ledger, NeedsMemory, stale_lines
from isthmus_control_plane.dispatching.line import Needs
from isthmus_control_plane.dispatching.pulse import QueuePulse
from isthmus_control_plane.dispatching.rules import Rules
from isthmus_control_plane.dispatching.sorter import Sorter
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.world import World

log = get_logger(__name__)

#: Runs that leave the queue in one round, in one transaction: it holds SQLite's only write lock meanwhile.
ROOM: Final = 25
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
        async with self._core.database.read() as tx:
            found = await self._look(tx, at=at)
        if found.stale and found.seen is not None:
            return await self._sorter.sort(found.stale, rules=found.rules, world=found.seen) > 0
        await self._dispatch(found, at=at)
        for ref in found.failed:
            await self._refuse(ref, at=at)
        return self.pulse.total > before

    async def _look(self, tx: Transaction, *, at: datetime) -> _Look:
        heads = await run_queue.heads(tx, limit=LINES_AT_ONCE)
        if not heads:
            self._note({})
            self._core.hub.heeds_acceptance = False
            return _Look()
        # Whatever is accepted from here on may let runs leave that this look leaves.
        self._core.hub.heeds_acceptance = True
        seen = await world.read(tx, memory=self._memory, at=at)
        books = await ledger.read(tx, self._needs, deployments=_deployments(seen))
        stale = stale_lines([*heads, *books.held], rules=books.rules, world=seen)
        if stale:
            return _Look(seen=seen, rules=books.rules, stale=stale)
        found, looked_at = _Look(seen=seen), list[Waiting]()
        while heads:
            waiting = await self._waiting(tx, heads, books=books)
            looked_at += waiting
            if await self._choose(tx, waiting, books=books, seen=seen, found=found, at=at):
                # Why the others wait is told by the look that follows: whoever leaves is not to wait for that.
                return found
            # Nobody of these may leave: whoever waits behind them still may.
            is_last = len(heads) < LINES_AT_ONCE
            heads = [] if is_last else await run_queue.heads(tx, limit=LINES_AT_ONCE, after=heads[-1].line)
        view = books.view(seen.fleet)
        self._note(_reasons(looked_at, view=view))
        self._core.hub.heeds_acceptance = any(has_full_way(it.needs.location, view) for it in looked_at)
        return found

    async def _waiting(self, tx: Transaction, heads: Sequence[Head], *, books: Ledger) -> list[Waiting]:
        """Return the lines with the first run of each."""
        needs = await self._needs.of(tx, {head.line: head.run_id for head in heads}, rules=books.rules)
        return [
            Waiting(head.line, needs[head.line], [Candidate(head.queued_at, head.run_id)], has_more=False)
            for head in heads
            if head.line in needs
        ]

    async def _choose(
        self, tx: Transaction, waiting: list[Waiting], *, books: Ledger, seen: World, found: _Look, at: datetime
    ) -> bool:
        """Choose what leaves, in two turns: the heads tell whose lines are read, and what is read tells who leaves."""
        first = choose(waiting, books.view(seen.fleet), room=ROOM, start=self.pulse.total)
        rows: dict[str, Run] = {}
        read: dict[str, Waiting] = {}
        for line in {pick.line: pick for _, pick in first.picks}.values():
            with self._lines.guard(line=line.line, location=line.needs.location.name):
                oldest = await run_queue.oldest(tx, line.line, limit=ROOM)
                rows |= {run.run_id: run for run in oldest}
                candidates = [Candidate(run.queued_at, run.run_id) for run in oldest]
                read[line.line] = Waiting(line.line, line.needs, candidates, has_more=len(oldest) == ROOM)
        lines = [read.get(line.line) or Waiting(line.line, line.needs, line.runs) for line in waiting]
        choice = choose(lines, books.view(seen.fleet), room=ROOM, start=self.pulse.total)
        for run_id, line in choice.picks:
            # A head that was not read is the first of its location's next round.
            run = rows.get(run_id)
            if run is None:
                continue
            with self._runs.guard(run=run.run_id, location=run.location) as fate:
                found.departures[run_id] = await departure(tx, run, core=self._core, seen=seen, at=at)
                found.needs[run_id] = line.needs
            found.failed += [run.ref] if fate.error is not None else []
        return bool(choice.picks)

    def _note(self, reasons: Mapping[str, str]) -> None:
        for key in self._waits.note(reasons):
            self._core.hub.line_changed(key)

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
        async with self._core.database.write() as tx:
            left = await run_queue.dispatch(tx, await self._allowed(tx, departures, found=found), at=at)
        # At once: a launch that comes now is dispatched directly, and may not overtake these on the way to the broker.
        self._dispatcher.offer(*(departures[run.run_id].command for run in left))
        self.pulse.beat(len(left))
        for run in left:
            log.info("run_dispatched", run=run.run_id, agent=run.agent)
            self._core.hub.run_changed(run.run_id)

    async def _allowed(
        self, tx: WriteTransaction, departures: Mapping[str, Departure], *, found: _Look
    ) -> dict[str, Departure]:
        """Return those that may still leave: another control plane may have filled slots since they were counted."""
        await tx.exclusive("queue")
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
                    await history.append(tx, ref, news=[history.failed(signaled.run, at=at)], at=at)
            self.pulse.beat(1)
            self._core.hub.run_changed(ref.run_id)


def _deployments(seen: World) -> set[str]:
    return {key.deployment for key in seen.locations}


def _reasons(waiting: Iterable[Waiting], *, view: View) -> dict[str, str]:
    """Say of each line why its first run waits."""
    found: dict[str, str] = {}
    for line in waiting:
        first = first_block(line.needs, view)
        found[line.line] = first.text if first is not None else queue.in_line(line.needs.location)
    return found
