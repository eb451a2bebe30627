"""Wakes whoever waits for a change: watchers of one run or location, and the loops behind the API.

A wake-up says "look again", never what happened: it may come for nothing, and a lost one is made good by a slow poll.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from isthmus_broker.notices import Notice
from isthmus_lifecycle.waiting import wait_for

from isthmus_control_plane.key import LocationKey

#: How long agents are let accept runs before others are sent after them, seconds: a look is not to be paid for each.
_ACCEPTANCE_S: Final = 0.05
#: What topics of lines begin with.
_LINE: Final = "line "
#: The topic of whatever run.
_ANY_RUN: Final = "runs"


class Wake:
    """One sleeper's alarm. What rings while nobody waits is kept for the next wait."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None

    def ring(self) -> None:
        """End the wait under way, or the next one."""
        self._rung.set()

    def ring_soon(self, *, after_s: float) -> None:
        """Ring after a while: once for all who ask for it until then."""
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(after_s, self._ring_later)

    def _ring_later(self) -> None:
        self._later = None
        self.ring()

    async def wait(self, *, at_most_s: float) -> None:
        """Wait for a ring, or until the time is over."""
        if await wait_for(self._rung, at_most_s=at_most_s):
            self._rung.clear()


class WakeHub:
    """Knows who waits for what, and hands notices on."""

    def __init__(self) -> None:
        self._sleepers: dict[str, set[Wake]] = {}
        #: Rung when agents or locations changed: locations may have to move, and agents to be told.
        self.fleet = Wake()
        #: Rung when runs may leave the queue: because of the same, since some were queued, or since others ended.
        self.queue = Wake()
        #: Rung with `fleet`: launches that nobody began may have to be placed elsewhere.
        self.relocation = Wake()
        #: Rung when steps may get slots of pools: because some were freed, or what limits them changed.
        self.slots = Wake()
        #: Whether runs wait for an agent to accept those before them: then any run that moves on rings for the queue.
        self.heeds_acceptance = False
        #: Rung when runs may wait for other moments than before.
        self.deferrals = Wake()
        #: Rung when runs may have other deadlines than before.
        self.timeouts = Wake()
        #: Rung when instructions were written.
        self.outbox = Wake()
        #: Rung when schedules may be due at other times than before; `schedule_changes` counts how often.
        self.schedules = Wake()
        self.schedule_changes = 0
        #: Rung when sensors may have something to see, or others run than before.
        self.sensors = Wake()
        #: Whether sensors look at events here: then each that comes rings for them.
        self.heeds_events = False
        #: Rung when runs of backfills may have ended, or somebody decided about one.
        self.backfills = Wake()
        #: Rung when assets may be fresher than before, or have to be.
        self.freshness = Wake()
        #: Whether anybody keeps the freshness of assets here: then each event rings for it.
        self.heeds_freshness = False
        #: Rung when there may be other alert policies than before.
        self.alerts = Wake()
        #: Rung with `fleet`, and when branch deployments changed.
        self.branches = Wake()
        #: Rung at the end alone: commands grow overdue with time, and nobody tells of that.
        self.expiry = Wake()
        #: The same: an agent that took over is let speak for a while.
        self.takeover = Wake()
        #: Set when the loops are to end once they are through with what they are at.
        self.stopping = asyncio.Event()
        self._is_closed = False

    def stop(self) -> None:
        """Let the loops end."""
        self.stopping.set()
        self.fleet_changed()
        self.outbox.ring()
        self.expiry.ring()
        self.schedules.ring()
        self.sensors.ring()
        self.takeover.ring()
        self.slots.ring()
        self.deferrals.ring()
        self.timeouts.ring()
        self.freshness.ring()
        self.alerts.ring()
        self.backfills.ring()

    @contextmanager
    def run(self, run_id: str) -> Iterator[Wake]:
        """Be woken when a run changes."""
        with self._sleeper(f"run {run_id}") as wake:
            yield wake

    @contextmanager
    def any_run(self) -> Iterator[Wake]:
        """Be woken when whatever run changes, or another comes."""
        with self._sleeper(_ANY_RUN) as wake:
            yield wake

    @contextmanager
    def location(self, key: LocationKey) -> Iterator[Wake]:
        """Be woken when a location changes."""
        with self._sleeper(f"location {key.deployment}/{key.name}") as wake:
            yield wake

    @contextmanager
    def line(self, key: LocationKey, *, wake: Wake) -> Iterator[None]:
        """Have a sleeper woken, too, when the runs that wait for a location wait for another reason."""
        with self._listening(f"{_LINE}{key.deployment}/{key.name}", wake):
            yield

    @property
    def watched_lines(self) -> set[LocationKey]:
        """The locations that somebody is to be woken for when what their runs wait for changes."""
        names = (topic.removeprefix(_LINE) for topic in self._sleepers if topic.startswith(_LINE))
        return {LocationKey(*name.split("/", maxsplit=1)) for name in names}

    @property
    def is_closed(self) -> bool:
        """Whether watchers are to end: the service stops."""
        return self._is_closed

    def close(self) -> None:
        """Wake every watcher for the last time."""
        self._is_closed = True
        self._ring_all()

    def on_notice(self, notice: Notice) -> None:
        """Wake whom a notice concerns; an empty one follows a gap in hearing, and concerns everybody."""
        if not notice:
            self._ring_all()
            self.fleet_changed()
            self.outbox.ring()
            self.slots.ring()
            self.deferrals.ring()
            self.timeouts.ring()
            self.backfills.ring()
            return
        for topic in (*(f"run {run}" for run in notice.runs), *(f"location {name}" for name in notice.locations)):
            self._ring(topic)
        if notice.runs:
            self._ring(_ANY_RUN)
            self.events_came()
            self.timeouts.ring()
        if notice.freed:
            # A run that failed may be followed by another, after a pause.
            self.room_made()
        if notice.agents or notice.locations:
            self.fleet_changed()
        elif notice.runs and self.heeds_acceptance:
            self.queue.ring_soon(after_s=_ACCEPTANCE_S)

    def run_changed(self, run_id: str) -> None:
        """Tell of a run that this process changed."""
        self._ring(f"run {run_id}")
        self._ring(_ANY_RUN)
        self.events_came()
        self.timeouts.ring()

    def run_added(self) -> None:
        """Tell of a run that this process accepted."""
        self._ring(_ANY_RUN)
        self.events_came()

    def events_came(self) -> None:
        """Tell that there are events that sensors may look at, or that make assets fresh."""
        if self.heeds_events:
            self.sensors.ring()
        if self.heeds_freshness:
            self.freshness.ring()

    def run_ended(self, run_id: str) -> None:
        """Tell of a run that this process ended: others may leave the queue."""
        self.run_changed(run_id)
        self.room_made()

    def room_made(self) -> None:
        """Tell that runs may leave the queue, and steps may get slots of pools: some ended, or limits changed."""
        self.queue.ring()
        self.slots.ring()
        self.deferrals.ring()
        self.backfills.ring()

    def location_changed(self, key: LocationKey) -> None:
        """Tell of a location that this process changed."""
        self._ring(f"location {key.deployment}/{key.name}")
        self.fleet_changed()

    def line_changed(self, key: LocationKey) -> None:
        """Tell that the runs that wait for a location wait for another reason than before."""
        self._ring(f"{_LINE}{key.deployment}/{key.name}")

    def fleet_changed(self) -> None:
        """Tell that locations may have to move, and runs may have to leave the queue."""
        self.fleet.ring()
        self.queue.ring()
        self.relocation.ring()
        self.backfills.ring()
        self.branches.ring()
        self.schedules_changed()

    def schedules_changed(self) -> None:
        """Tell that others run, or the same at other times."""
        self.schedule_changes += 1
        self.schedules.ring()
        self.sensors.ring()
        self.freshness.ring()

    def assets_changed(self) -> None:
        """Tell that something happened to assets outside of runs."""
        self.events_came()
        self.alerts.ring()

    def leads(self) -> None:
        """Tell that this process begins to lead."""
        self.schedules_changed()
        self.timeouts.ring()
        self.backfills.ring()

    def _ring(self, topic: str) -> None:
        for wake in self._sleepers.get(topic, ()):
            wake.ring()

    def _ring_all(self) -> None:
        for wakes in self._sleepers.values():
            for wake in wakes:
                wake.ring()

    @contextmanager
    def _sleeper(self, topic: str) -> Iterator[Wake]:
        wake = Wake()
        with self._listening(topic, wake):
            yield wake

    @contextmanager
    def _listening(self, topic: str, wake: Wake) -> Iterator[None]:
        self._sleepers.setdefault(topic, set()).add(wake)
        try:
            yield
        finally:
            self._sleepers[topic].discard(wake)
            if not self._sleepers[topic]:
                del self._sleepers[topic]
