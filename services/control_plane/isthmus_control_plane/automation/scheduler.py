"""Begins the ticks of schedules when they are due, while this control plane leads, and sees each of them to its end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from isthmus_lifecycle.log import get_logger
from isthmus_store import instigators, ticks
from isthmus_store.record.automation import Instigator, InstigatorKey, Tick
from isthmus_store.state import InstigatorKind
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.automation import roll
from isthmus_control_plane.automation.applying import Applier
from isthmus_control_plane.automation.asked import ScheduleAsked
from isthmus_control_plane.automation.evaluating import Evaluator
from isthmus_control_plane.automation.tick_loop import TickLoop
from isthmus_control_plane.automation.timetable import Timetable
from isthmus_control_plane.core import Core
from isthmus_control_plane.fleet import world
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.validation.definition import Schedule, Target
from isthmus_control_plane.wake import Wake

log = get_logger(__name__)

#: Ticks that are begun in one transaction.
_AT_ONCE: Final = 500


class Scheduler(TickLoop):
    """One control plane's schedules."""

    name = "schedules"

    def __init__(
        self, core: Core, *, leadership: Leadership, evaluator: Evaluator, applier: Applier, memory: world.SyncMemory
    ) -> None:
        super().__init__(core, leadership=leadership, evaluator=evaluator, applier=applier, memory=memory)
        self._table = Timetable()

    @property
    def _wake(self) -> Wake:
        return self._core.hub.schedules

    def _is_wanted(self, instigator_id: int) -> bool:
        return self._table.get(instigator_id) is not None

    def _next_at(self) -> datetime | None:
        return self._table.next_at(busy=self._at_rest)

    async def _begin_due(self) -> None:
        due = self._table.due(clock.now(), busy=self._at_rest)
        while due:
            some, due = dict(list(due.items())[:_AT_ONCE]), dict(list(due.items())[_AT_ONCE:])
            await self._begin(some)

    async def _refresh(self) -> None:
        async with self._core.database.read() as tx:
            seen = await world.read(tx, memory=self._memory, at=clock.now())
            found = await roll.read(tx, core=self._core, seen=seen)
            left = [
                it for it in await ticks.started(tx, InstigatorKind.SCHEDULE) if it.instigator_id not in self._in_hand
            ]
        known, self._paused = found.known, found.paused()
        if found.defined() or found.gone():
            async with self._leadership.write() as tx:
                known = await self._define(tx, found)
            self._core.hub.sensors.ring()
        self._table.replace((it, found.schedules[key]) for key, it in known.items() if key in found.schedules)
        if left:
            async with self._leadership.write() as tx:
                await ticks.try_again(tx, [it.id for it in left])
        for tick in left:
            self._take_up(tick, known=known, found=found)

    async def _define(self, tx: WriteTransaction, found: roll.Roll) -> dict[InstigatorKey, Instigator]:
        at = clock.now()
        await instigators.define(tx, found.defined(), at=at)
        await instigators.mark_gone(tx, found.gone(), at=at)
        return {it.key: it for it in await instigators.all_of(tx)}

    def _take_up(self, tick: Tick, *, known: Mapping[InstigatorKey, Instigator], found: roll.Roll) -> None:
        """Go on with a tick that a process left behind."""
        it = next((it for it in known.values() if it.id == tick.instigator_id), None)
        if it is None:
            return
        # One that left the code: the evaluation finds that nobody wants it.
        gone = Schedule(it.name, (), "", Target(""), is_running_by_default=False)
        log.info("tick_taken_up", tick=tick.id, schedule=it.name, attempts=tick.attempts)
        self._begin_evaluation(_asked(tick, it, found.schedules.get(it.key) or gone))

    async def _begin(self, due: Mapping[int, datetime]) -> None:
        async with self._leadership.write() as tx:
            begun = await ticks.begin(tx, due, at=clock.now())
        self._table.begun(due)
        for tick in begun:
            entry = self._table.get(tick.instigator_id)
            if entry is not None:
                self._begin_evaluation(_asked(tick, entry.instigator, entry.schedule))


def _asked(tick: Tick, it: Instigator, schedule: Schedule) -> ScheduleAsked:
    return ScheduleAsked(tick, LocationKey(it.deployment, it.location), schedule)
