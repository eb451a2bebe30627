"""Looks through the queue whenever something changed, and dispatches what may leave it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store import run_queue, runs
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.run import AttemptRef, Run
from isthmus_store.run_queue import Departure, Line
from isthmus_store.signal import LaunchRefused
from isthmus_store.state import RunReason
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock, history
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.dispatching.departure import departure
from isthmus_control_plane.dispatching.queue import Dispatch, Share, Wait
from isthmus_control_plane.dispatching.waits import Waits
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import LocationKey

log = get_logger(__name__)

#: Runs that leave the queue in one round, in one transaction: it holds SQLite's only write lock meanwhile.
ROOM: Final = 25
_UNFORESEEN: Final = "the control plane could not dispatch the run; its log has the details under the run's id"


class Dequeuer:
    """Hands queued runs to agents, and notes of the others why they wait.

    A run that cannot be dispatched for a reason that nobody foresaw fails: it would hold up its whole line.
    """

    def __init__(self, core: Core, *, memory: world.SyncMemory, dispatcher: OutboxDispatcher, waits: Waits) -> None:
        self._core = core
        self._memory = memory
        self._dispatcher = dispatcher
        self._waits = waits
        self._lines = Boundary("queued location", passes=(TransientStoreError,))
        self._runs = Boundary("queued run", passes=(TransientStoreError,))
        #: Runs that were let go by this process.
        self._gone = 0

    async def step(self) -> None:
        """Dispatch all that may leave the queue now."""
        while await self.look() and not self._core.hub.stopping.is_set():
            pass

    async def look(self) -> bool:
        """Let some runs leave, fairly; returns whether there may be more. Costs what leaves, however many wait."""
        at, before = clock.now(), self._gone
        departures: dict[str, Departure] = {}
        failed: list[AttemptRef] = []
        async with self._core.database.read() as tx:
            lines = await run_queue.lines(tx)
            if not lines:
                self._note({})
                return False
            seen = await world.read(tx, memory=self._memory, at=at)
            for run in await self._heads(tx, self._shares(lines, seen=seen)):
                with self._runs.guard(run=run.run_id, location=run.location) as fate:
                    departures[run.run_id] = await departure(tx, run, core=self._core, seen=seen, at=at)
                failed += [run.ref] if fate.error is not None else []
        await self._dispatch(departures, at=at)
        for ref in failed:
            await self._refuse(ref, at=at)
        return self._gone > before

    def _shares(self, lines: Iterable[Line], *, seen: World) -> list[Share]:
        """Decide which locations' runs leave, and note why the others wait."""
        verdicts = {key: queue.decide(key, fleet=seen.fleet) for key in (LocationKey(*line) for line in lines)}
        reasons = {key: it.reason if isinstance(it, Wait) else queue.in_line(key) for key, it in verdicts.items()}
        self._note(reasons)
        serving = {key: verdict.agent for key, verdict in verdicts.items() if isinstance(verdict, Dispatch)}
        return queue.deal(serving, room=ROOM, start=self._gone)

    def _note(self, reasons: Mapping[LocationKey, str]) -> None:
        for key in self._waits.note(reasons):
            self._core.hub.line_changed(key)

    async def _heads(self, tx: Transaction, shares: Iterable[Share]) -> list[Run]:
        """Read the runs that may leave; a location whose rows cannot be read gives none."""
        heads: list[Run] = []
        for share in shares:
            with self._lines.guard(deployment=share.location.deployment, location=share.location.name):
                heads += await run_queue.oldest(tx, Line(*share.location), limit=share.count)
        return heads

    async def _dispatch(self, departures: Mapping[str, Departure], *, at: datetime) -> None:
        """Let runs leave in one transaction; when it fails, each in one of its own, so that one of them fails alone."""
        with self._runs.guard(runs=len(departures)) as together:
            await self._write(departures, at=at)
        if together.error is None:
            return
        for run_id, it in departures.items():
            with self._runs.guard(run=run_id) as alone:
                await self._write({run_id: it}, at=at)
            if alone.error is not None:
                await self._refuse(AttemptRef(run_id, it.command.attempt), at=at)

    async def _write(self, departures: Mapping[str, Departure], *, at: datetime) -> None:
        if not departures:
            return
        async with self._core.database.write() as tx:
            left = await run_queue.dispatch(tx, departures, at=at)
        # At once: a launch that comes now is dispatched directly, and may not overtake these on the way to the broker.
        self._dispatcher.offer(*(departures[run.run_id].command for run in left))
        self._gone += len(left)
        for run in left:
            log.info("run_dispatched", run=run.run_id, agent=run.agent)
            self._core.hub.run_changed(run.run_id)

    async def _refuse(self, ref: AttemptRef, *, at: datetime) -> None:
        """End a run that cannot be dispatched."""
        with self._runs.guard(run=ref.run_id):
            news = LaunchRefused(attempt=ref.attempt, reason=RunReason.INTERNAL_ERROR, message=_UNFORESEEN)
            async with self._core.database.write() as tx:
                signaled = await runs.signal(tx, ref.run_id, news, at=at)
                if signaled.decision.is_change:
                    await history.append(tx, ref, news=[history.failed(signaled.run, at=at)], at=at)
            self._gone += 1
            self._core.hub.run_changed(ref.run_id)
