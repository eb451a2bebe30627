"""Begins the ticks of sensors when they are due, while this control plane leads, and sees each of them to its end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from isthmus_lifecycle.log import get_logger
from isthmus_store import event_index, event_numbers, instigators, ticks
from isthmus_store.record.automation import Instigator
from isthmus_store.state import InstigatorKind
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.automation import roll
from isthmus_control_plane.automation.applying import Applier
from isthmus_control_plane.automation.asked import Asked, SensorAsked
from isthmus_control_plane.automation.effects import Effects
from isthmus_control_plane.automation.evaluating import Evaluator
from isthmus_control_plane.automation.tick_loop import UNREAD, TickLoop
from isthmus_control_plane.automation.watchlist import Entry, Watchlist, events_of, position
from isthmus_control_plane.core import Core
from isthmus_control_plane.fleet import world
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.trail import Trail, read_on
from isthmus_control_plane.validation.definition import Sensor
from isthmus_control_plane.wake import Wake

log = get_logger(__name__)

#: Ticks that are begun in one transaction.
_AT_ONCE: Final = 200
#: Events that are read at once to see whom they concern.
_NEWS: Final = 5_000


class Sensing(TickLoop):
    """One control plane's sensors."""

    name = "sensors"
    # Events come in crowds.
    breath_s = 0.02

    def __init__(
        self, core: Core, *, leadership: Leadership, evaluator: Evaluator, applier: Applier, memory: world.SyncMemory
    ) -> None:
        super().__init__(core, leadership=leadership, evaluator=evaluator, applier=applier, memory=memory)
        self._list = Watchlist()
        #: Up to which event it is known whom they concern, under the lease of which number; None before that is known.
        self._trail: Trail | None = None
        self._heard_under = 0

    @property
    def _wake(self) -> Wake:
        return self._core.hub.sensors

    def _is_wanted(self, instigator_id: int) -> bool:
        return self._list.get(instigator_id) is not None

    def _next_at(self) -> datetime | None:
        return self._list.next_at(clock.now(), busy=self._at_rest)

    def _after(self, asked: Asked, effects: Effects) -> None:
        """Go on at once with a sensor that moved on: it looks at a few events of many at each tick."""
        if not isinstance(asked, SensorAsked):
            return
        self._list.took(asked.instigator.id, effects.took_s)
        if effects.cursor is None:
            return
        if effects.cursor != asked.instigator.cursor:
            self._list.moved(asked.instigator.id, cursor=effects.cursor)

    def _left(self) -> None:
        self._read_for = UNREAD

    async def _begin_due(self) -> None:
        due = await self._due()
        for start in range(0, len(due), _AT_ONCE):
            await self._begin(due[start : start + _AT_ONCE])

    async def _refresh(self) -> None:
        async with self._core.database.read() as tx:
            seen = await world.read(tx, memory=self._memory, at=clock.now())
            found = await roll.read(tx, core=self._core, seen=seen)
            left = [
                it for it in await ticks.started(tx, InstigatorKind.SENSOR) if it.instigator_id not in self._in_hand
            ]
        self._paused = found.paused()
        self._list.replace((it, found.sensors[key]) for key, it in found.known.items() if key in found.sensors)
        # Every launch tells of events: where nobody looks at them, it is not to cost a look.
        self._core.hub.heeds_events = self._list.is_watching
        if not left:
            return
        async with self._leadership.write() as tx:
            await ticks.try_again(tx, [it.id for it in left])
        by_id = {it.id: it for it in found.known.values()}
        for tick in left:
            it = by_id.get(tick.instigator_id)
            if it is not None:
                log.info("tick_taken_up", tick=tick.id, sensor=it.name, attempts=tick.attempts)
                self._begin_evaluation(SensorAsked(tick, it, found.sensors.get(it.key) or _gone(it), last_tick_at=None))

    # --------------------------------------------------------------------------------------------------------- looking

    async def _due(self) -> list[Entry]:
        """Return the sensors whose ticks are to begin, without those that would find nothing."""
        if not self._list.is_watching:
            self._trail = None
            return self._list.due(clock.now(), busy=self._at_rest)
        async with self._core.database.read() as tx:
            await self._hear(tx)
            now = clock.now()
            due = self._list.due(now, busy=self._at_rest)
            wanted = []
            for entry in due:
                if await _has_something(tx, entry):
                    wanted.append(entry)
                else:
                    self._list.looked(entry.instigator.id, at=now)
        return wanted

    async def _hear(self, tx: Transaction) -> None:
        """Read of which events came, and whom they concern. To be called first."""
        if self._trail is None or self._heard_under != self._leadership.number:
            # Whoever led before may have left any of them unseen, and so does a time in which nobody looked.
            await event_numbers.hold_still(tx)
            self._trail, self._heard_under = Trail(await event_index.newest_id(tx)), self._leadership.number
            self._list.suspect_all()
        has_more = True
        while has_more:
            reading = await read_on(tx, self._trail, most=_NEWS, now=clock.now())
            self._list.tell(reading.news)
            self._trail, has_more = reading.trail, reading.has_more

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
                self._begin_evaluation(SensorAsked(tick, it, entry.sensor, last_tick_at=before[it.id]))


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
