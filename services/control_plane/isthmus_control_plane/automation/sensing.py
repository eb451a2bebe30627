"""Begins the ticks of sensors when they are due, while this control plane leads, and sees each of them to its end."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from isthmus.v1.telemetry_pb2 import Failure
from isthmus_lifecycle.boundary import Boundary, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_store import event_index, instigators, ticks
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.record.automation import Instigator, Tick
from isthmus_store.state import InstigatorKind
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.automation import roll
from isthmus_control_plane.automation.applying import Applier
from isthmus_control_plane.automation.asked import SensorAsked
from isthmus_control_plane.automation.effects import Effects, failed
from isthmus_control_plane.automation.evaluating import Evaluator
from isthmus_control_plane.automation.watchlist import Entry, Watchlist, events_of, position
from isthmus_control_plane.core import Core
from isthmus_control_plane.fleet import world
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.validation.definition import Sensor

log = get_logger(__name__)

#: Ticks that are begun in one transaction.
_AT_ONCE: Final = 200
#: Events that are read at once to see whom they concern.
_NEWS: Final = 5_000
#: How often a process that leads looks for changes that nobody told it of, seconds.
_COMPARE_EVERY_S: Final = 10.0
#: The least time between two looks: events come in crowds, and one look serves a crowd. Seconds.
_BREATH_S: Final = 0.02
_UNFORESEEN: Final = "the control plane could not evaluate the tick; its log has the details under the tick's number"


class Sensing:
    """One control plane's sensors: it sleeps until the next is due, or until there is news."""

    def __init__(
        self, core: Core, *, leadership: Leadership, evaluator: Evaluator, applier: Applier, memory: world.SyncMemory
    ) -> None:
        self._core = core
        self._leadership = leadership
        self._evaluator = evaluator
        self._applier = applier
        self._memory = memory
        self._list = Watchlist()
        #: The ticks that are evaluated now, by their instigators.
        self._in_hand: dict[int, Tick] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._evaluating: set[asyncio.Task[None]] = set()
        #: Under which lease, after how many changes, and when the roll was read last.
        self._read_for: tuple[int, int] = (0, -1)
        self._read_at = 0.0
        #: Up to which event it is known whom they concern, under the lease of which number.
        self._seen: tuple[int, int] = (0, 0)
        self._ticks = Boundary("sensor tick", passes=(LeaseLostError, TransientStoreError))

    async def run(self) -> None:
        """Go on until the hub stops. Ticks that are not ended then are done again by whoever leads next."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await keep_going_until(self._core.hub.stopping, step=self._turn, name="sensors")
            for task in self._evaluating:
                task.cancel()

    async def _turn(self) -> None:
        """Begin what is due, and sleep until the next is."""
        try:
            pause_s = await self._look() if self._leadership.is_held else self._core.settings.sweep_interval_s
        except LeaseLostError as error:
            log.info("sensor_ticks_left_to_another", problem=str(error))
            pause_s = 0.0
        except TransientStoreError as error:
            log.warning("sensor_ticks_postponed", problem=str(error))
            pause_s = self._core.settings.sweep_interval_s
        await asyncio.sleep(_BREATH_S)
        if pause_s > 0:
            await self._core.hub.sensors.wait(at_most_s=pause_s)

    async def _look(self) -> float:
        """Begin what is due; returns how long to sleep, seconds."""
        loop = asyncio.get_running_loop()
        state = (self._leadership.number, self._core.hub.schedule_changes)
        if state != self._read_for or loop.time() - self._read_at > _COMPARE_EVERY_S:
            await self._refresh()
            self._read_for, self._read_at = state, loop.time()
        due = await self._due()
        for start in range(0, len(due), _AT_ONCE):
            await self._begin(due[start : start + _AT_ONCE])
        now = clock.now()
        next_at = self._list.next_at(now, busy=self._in_hand)
        # No longer than that, since clocks may be set: how long to sleep is known by another clock.
        longest_s = self._core.settings.sweep_interval_s
        return longest_s if next_at is None else min(longest_s, max(0.0, (next_at - now).total_seconds()))

    async def _refresh(self) -> None:
        """Take in what locations define and people decided, and take up ticks that nobody ended."""
        async with self._core.database.read() as tx:
            seen = await world.read(tx, memory=self._memory, at=clock.now())
            found = await roll.read(tx, core=self._core, seen=seen)
            left = [
                it for it in await ticks.started(tx, InstigatorKind.SENSOR) if it.instigator_id not in self._in_hand
            ]
        self._list.replace((it, found.sensors[key]) for key, it in found.known.items() if key in found.sensors)
        if not left:
            return
        async with self._leadership.write() as tx:
            await ticks.try_again(tx, [it.id for it in left])
        by_id = {it.id: it for it in found.known.values()}
        for tick in left:
            it = by_id.get(tick.instigator_id)
            if it is not None:
                log.info("tick_taken_up", tick=tick.id, sensor=it.name, attempts=tick.attempts)
                self._begin_evaluation(it, found.sensors.get(it.key) or _gone(it), tick, last_tick_at=None)

    # --------------------------------------------------------------------------------------------------------- looking

    async def _due(self) -> list[Entry]:
        """Return the sensors whose ticks are to begin, without those that would find nothing."""
        async with self._core.database.read() as tx:
            await self._hear(tx)
            now = clock.now()
            due = self._list.due(now, busy=self._in_hand)
            wanted = []
            for entry in due:
                if await _has_something(tx, entry):
                    wanted.append(entry)
                else:
                    self._list.looked(entry.instigator.id, at=now)
        return wanted

    async def _hear(self, tx: Transaction) -> None:
        """Read of which events came, and whom they concern."""
        number, last = self._seen
        if number != self._leadership.number:
            # Whoever led before may have left any of them unseen.
            last = await event_index.newest_id(tx)
            self._list.suspect_all()
        news = await event_index.news(tx, after_id=last, limit=_NEWS)
        while news:
            self._list.tell(news)
            last = news[-1].id
            news = await event_index.news(tx, after_id=last, limit=_NEWS) if len(news) == _NEWS else []
        self._seen = (self._leadership.number, last)

    # -------------------------------------------------------------------------------------------------------- evaluating

    async def _begin(self, due: Sequence[Entry]) -> None:
        at = clock.now()
        before = {entry.instigator.id: entry.instigator.last_tick_at for entry in due}
        async with self._leadership.write() as tx:
            begun = await ticks.begin(tx, dict.fromkeys(before, at), at=at)
            # What it remembers, as it is now: a person may have put its cursor elsewhere.
            now = {it.id: it for it in await instigators.some(tx, before)}
        for instigator_id in before:
            self._list.begun(instigator_id, at=at)
        for tick in begun:
            entry, it = self._list.get(tick.instigator_id), now.get(tick.instigator_id)
            if entry is not None and it is not None:
                self._begin_evaluation(it, entry.sensor, tick, last_tick_at=before[it.id])

    def _begin_evaluation(self, it: Instigator, sensor: Sensor, tick: Tick, *, last_tick_at: datetime | None) -> None:
        if self._tasks is None or it.id in self._in_hand:
            return
        self._in_hand[it.id] = tick
        asked = SensorAsked(tick, it, sensor, last_tick_at)
        task = self._tasks.create_task(self._carry(asked), name=f"sensor tick {tick.id}")
        self._evaluating.add(task)
        task.add_done_callback(self._evaluating.discard)

    async def _carry(self, asked: SensorAsked) -> None:
        """See a tick to its end, unless another process is to do that."""
        tick, it = asked.tick, asked.instigator
        try:
            with self._ticks.guard(tick=tick.id) as fate:
                effects = await self._evaluator.evaluate(asked, is_wanted=partial(self._is_wanted, it.id))
                await self._applier.apply(tick, effects, location=asked.location)
                self._after(asked, effects)
            if fate.error is not None:
                failure = Failure(error_class=type(fate.error).__name__, message=_UNFORESEEN)
                await self._applier.apply(tick, failed(failure), location=asked.location)
        except (LeaseLostError, TransientStoreError) as error:
            # It stays STARTED, and is taken up by whoever leads then.
            log.info("tick_left", tick=tick.id, problem=str(error))
            self._read_at = 0.0
        finally:
            self._in_hand.pop(it.id, None)
            self._core.hub.sensors.ring()

    def _after(self, asked: SensorAsked, effects: Effects) -> None:
        """Go on at once with a sensor that moved on: it looks at a few events of many at each tick."""
        if effects.cursor is not None and effects.cursor != asked.instigator.cursor:
            self._list.moved(asked.instigator.id, cursor=effects.cursor)

    def _is_wanted(self, instigator_id: int) -> bool:
        return self._list.get(instigator_id) is not None


async def _has_something(tx: Transaction, entry: Entry) -> bool:
    """Tell whether a sensor may have something to say: that is known only of some that look at events."""
    watch = entry.sensor.watch
    at = position(entry.sensor, entry.instigator.cursor)
    if watch is None or at is None:
        return True
    for kind, asset in events_of(watch):
        deployment = entry.instigator.deployment
        if await event_index.has_news(tx, deployment=deployment, kind=kind, asset=asset, after_id=max(at, 0)):
            return True
    return False


def _gone(it: Instigator) -> Sensor:
    """Return a sensor that left the code: its evaluation finds that nobody wants it."""
    return Sensor(it.name, "", 0, (), is_running_by_default=False)
