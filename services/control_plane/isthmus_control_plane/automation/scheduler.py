"""Begins the ticks of schedules when they are due, while this control plane leads, and sees each of them to its end."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final

from isthmus.v1.telemetry_pb2 import Failure
from isthmus_lifecycle.boundary import Boundary, keep_going, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_store import instigators, ticks
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.record.automation import Instigator, InstigatorKey, Tick
from isthmus_store.state import InstigatorKind
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.automation import roll
from isthmus_control_plane.automation.applying import Applier
from isthmus_control_plane.automation.asked import ScheduleAsked
from isthmus_control_plane.automation.effects import failed
from isthmus_control_plane.automation.evaluating import Evaluator
from isthmus_control_plane.automation.timetable import Timetable
from isthmus_control_plane.core import Core
from isthmus_control_plane.fleet import world
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.validation.definition import Schedule, Target

log = get_logger(__name__)

#: Transactions that write what ticks come to, side by side, where writers do not wait for each other.
_WRITERS: Final = 4
#: Ticks that are begun in one transaction.
_AT_ONCE: Final = 500
#: How often a process that leads looks for changes that nobody told it of, seconds.
_COMPARE_EVERY_S: Final = 10.0
_UNFORESEEN: Final = "the control plane could not evaluate the tick; its log has the details under the tick's number"


class Scheduler:
    """One control plane's schedules: it sleeps until the next is due, or until somebody changes something."""

    def __init__(
        self,
        core: Core,
        *,
        leadership: Leadership,
        evaluator: Evaluator,
        applier: Applier,
        memory: world.SyncMemory,
    ) -> None:
        self._core = core
        self._leadership = leadership
        self._evaluator = evaluator
        self._applier = applier
        self._memory = memory
        self._table = Timetable()
        #: The ticks that are evaluated now, by their instigators.
        self._in_hand: dict[int, Tick] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._evaluating: set[asyncio.Task[None]] = set()
        #: Under which lease, after how many changes, and when the roll was read last.
        self._read_for: tuple[int, int] = (0, -1)
        self._read_at = 0.0
        self._ticks = Boundary("tick", passes=(LeaseLostError, TransientStoreError))

    async def run(self) -> None:
        """Go on until the hub stops. Ticks that are not ended then are done again by whoever leads next."""
        async with asyncio.TaskGroup() as tasks:
            writers = _WRITERS if self._core.database.is_postgresql else 1
            step = self._applier.step
            writing = [tasks.create_task(keep_going(step, name="ticks to write")) for _ in range(writers)]
            evaluations = tasks.create_task(self._run(), name="schedules")
            await evaluations
            for task in writing:
                task.cancel()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await keep_going_until(self._core.hub.stopping, step=self._turn, name="schedules")
            for task in self._evaluating:
                task.cancel()

    def _begin_evaluation(self, it: Instigator, schedule: Schedule, tick: Tick) -> None:
        if self._tasks is None:
            return
        self._in_hand[it.id] = tick
        task = self._tasks.create_task(self._carry(it, schedule, tick), name=f"tick {tick.id}")
        self._evaluating.add(task)
        task.add_done_callback(self._evaluating.discard)

    async def _turn(self) -> None:
        """Begin what is due, and sleep until the next is."""
        try:
            pause_s = await self._look() if self._leadership.is_held else self._core.settings.sweep_interval_s
        except LeaseLostError as error:
            log.info("ticks_left_to_another", problem=str(error))
            pause_s = 0.0
        except TransientStoreError as error:
            log.warning("ticks_postponed", problem=str(error))
            pause_s = self._core.settings.sweep_interval_s
        if pause_s > 0:
            await self._core.hub.schedules.wait(at_most_s=pause_s)

    async def _look(self) -> float:
        """Begin what is due; returns how long to sleep, seconds."""
        loop = asyncio.get_running_loop()
        state = (self._leadership.number, self._core.hub.schedule_changes)
        if state != self._read_for or loop.time() - self._read_at > _COMPARE_EVERY_S:
            await self._refresh()
            self._read_for, self._read_at = state, loop.time()
        due = self._table.due(clock.now(), busy=self._in_hand)
        while due:
            some, due = dict(list(due.items())[:_AT_ONCE]), dict(list(due.items())[_AT_ONCE:])
            await self._begin(some)
        next_at = self._table.next_at(busy=self._in_hand)
        # No longer than that, since clocks may be set: how long to sleep is known by another clock.
        longest_s = self._core.settings.sweep_interval_s
        return longest_s if next_at is None else min(longest_s, max(0.0, (next_at - clock.now()).total_seconds()))

    async def _refresh(self) -> None:
        """Take in what locations define and people decided, and take up ticks that nobody ended."""
        async with self._core.database.read() as tx:
            seen = await world.read(tx, memory=self._memory, at=clock.now())
            found = await roll.read(tx, core=self._core, seen=seen)
            left = [
                it for it in await ticks.started(tx, InstigatorKind.SCHEDULE) if it.instigator_id not in self._in_hand
            ]
        known = found.known
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
        schedule = found.schedules.get(it.key) if it is not None else None
        if it is None or it.id in self._in_hand:
            return
        if schedule is None:
            # It left the code: the evaluation finds that nobody wants it.
            schedule = Schedule(it.name, (), "", Target(""), is_running_by_default=False)
        log.info("tick_taken_up", tick=tick.id, schedule=it.name, attempts=tick.attempts)
        self._begin_evaluation(it, schedule, tick)

    async def _begin(self, due: Mapping[int, datetime]) -> None:
        async with self._leadership.write() as tx:
            begun = await ticks.begin(tx, due, at=clock.now())
        self._table.begun(due)
        for tick in begun:
            entry = self._table.get(tick.instigator_id)
            if entry is not None:
                self._begin_evaluation(entry.instigator, entry.schedule, tick)

    async def _carry(self, it: Instigator, schedule: Schedule, tick: Tick) -> None:
        """See a tick to its end, unless another process is to do that."""
        asked = ScheduleAsked(tick, LocationKey(it.deployment, it.location), schedule)
        try:
            with self._ticks.guard(tick=tick.id) as fate:
                effects = await self._evaluator.evaluate(asked, is_wanted=partial(self._is_wanted, it.id))
                await self._applier.apply(tick, effects, location=asked.location)
            if fate.error is not None:
                failure = Failure(error_class=type(fate.error).__name__, message=_UNFORESEEN)
                await self._applier.apply(tick, failed(failure), location=asked.location)
        except (LeaseLostError, TransientStoreError) as error:
            # It stays STARTED, and is taken up by whoever leads then.
            log.info("tick_left", tick=tick.id, problem=str(error))
        finally:
            self._in_hand.pop(it.id, None)
            self._core.hub.schedules.ring()

    def _is_wanted(self, instigator_id: int) -> bool:
        return self._table.get(instigator_id) is not None
