"""Which sensors are due, and when the next one is. Pure.

A sensor is due once its interval since its last tick is over, and at once before its first. One that looks at events is due earlier when there are any.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from isthmus_store.asset_wipes import WIPED
from isthmus_store.event_index import News
from isthmus_store.fact import asset_text
from isthmus_store.record.automation import Instigator

from isthmus_control_plane.validation.definition import AUTOMATION, Sensor, Watch

#: Dagster's own, seconds.
_DEFAULT_INTERVAL_S: Final = 30.0
#: The longest interval that is kept, seconds: a year.
_MOST_INTERVAL_S: Final = 366 * 86_400.0
#: No event has a larger number, and no database could be asked about one.
_MOST_NUMBER: Final = 2**62
#: More digits are no event's number, and too many are no number of Python's either.
_MOST_DIGITS: Final = 19
#: How many times as long as its last evaluation took events may not wake a sensor of automation again: what they change
#: is seen a moment later, and what evaluates has no more than a share of a processor.
_REST: Final = 4.0


def interval(sensor: Sensor) -> timedelta:
    """Return how long after a tick the next one is due; what is no time says nothing."""
    said_s = sensor.interval_s if sensor.interval_s > 0 else _DEFAULT_INTERVAL_S
    return timedelta(seconds=min(said_s, _MOST_INTERVAL_S))


def position(sensor: Sensor, cursor: str) -> int | None:
    """Return the event that a sensor's cursor stands at, where Dagster's own form of it is known; None where it is not."""
    if sensor.watch is None or not sensor.watch.is_all:
        return None
    found = _number(cursor) if sensor.kind == "asset" else _record_id(cursor)
    return found if found is not None and abs(found) <= _MOST_NUMBER else None


def _number(cursor: str) -> int | None:
    return int(cursor) if cursor.isdecimal() and len(cursor) <= _MOST_DIGITS else None


def _record_id(cursor: str) -> int | None:
    try:
        told = json.loads(cursor)
    except (ValueError, RecursionError):
        return None
    found = told.get("record_id") if isinstance(told, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


@dataclass(frozen=True, slots=True)
class Entry:
    """A sensor that runs, as it stands and as it is defined."""

    instigator: Instigator
    sensor: Sensor
    #: When it was found last that there was nothing to see for it.
    looked_at: datetime | None = None
    #: Events that it looks at came since its last tick was begun.
    has_news: bool = False
    #: How long after its last tick was begun events may wake it.
    rest: timedelta = timedelta()

    def next_at(self, now: datetime) -> datetime:
        """Return when it is due; a moment that is over for one that is due now."""
        it = self.instigator
        if self._has_to_begin:
            return min(now, it.since)
        if self.has_news:
            return self._woken_at(now)
        last = max((at for at in (it.last_tick_at, self.looked_at) if at is not None), default=None)
        # A clock that was set back must not put it off.
        return min(last, now) + interval(self.sensor) if last is not None else min(now, it.since)

    def _woken_at(self, now: datetime) -> datetime:
        it = self.instigator
        if it.last_tick_at is None or not self.rest:
            return min(now, it.since)
        return min(it.last_tick_at, now) + min(self.rest, interval(self.sensor))

    @property
    def _has_to_begin(self) -> bool:
        """Whether it is yet to note where it begins to look: what happened before it did is never seen."""
        it = self.instigator
        return self.sensor.kind == "run_status" and not it.cursor and (it.last_tick_at or it.since) <= it.since


class Watchlist:
    """All sensors that run, and when they are due."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._by_event: dict[tuple[str, str, str], set[int]] = {}

    def get(self, instigator_id: int) -> Entry | None:
        """Return a sensor that runs."""
        return self._entries.get(instigator_id)

    @property
    def is_watching(self) -> bool:
        """Whether there is a sensor that looks at events."""
        return bool(self._by_event)

    def replace(self, known: Iterable[tuple[Instigator, Sensor]]) -> None:
        """Take in how sensors stand and are defined now."""
        before = self._entries
        self._entries = {
            it.id: replace(before.get(it.id, Entry(it, sensor)), instigator=it, sensor=sensor)
            for it, sensor in known
            if it.is_running
        }
        self._by_event = {}
        for entry in self._entries.values():
            for event in _events(entry):
                self._by_event.setdefault(event, set()).add(entry.instigator.id)

    def tell(self, news: Iterable[News]) -> None:
        """Take note of events."""
        about = {(it.deployment, it.kind, it.asset) for it in news}
        for instigator_id in {one for event in about for one in self._by_event.get(event, ())}:
            self._entries[instigator_id] = replace(self._entries[instigator_id], has_news=True)

    def suspect_all(self) -> None:
        """Take it that there is news for everyone who looks at events, since nobody knows what came."""
        for instigator_id in {one for ids in self._by_event.values() for one in ids}:
            self._entries[instigator_id] = replace(self._entries[instigator_id], has_news=True)

    def moved(self, instigator_id: int, *, cursor: str) -> None:
        """Take note of where a sensor's tick left it. One that looks at a few of many events at a time goes on at once."""
        entry = self._entries.get(instigator_id)
        if entry is None:
            return
        it = replace(entry.instigator, cursor=cursor)
        may_go_on = position(entry.sensor, cursor) is not None
        self._entries[instigator_id] = replace(entry, instigator=it, has_news=entry.has_news or may_go_on)

    def took(self, instigator_id: int, duration_s: float) -> None:
        """Take note of how long the evaluation of a sensor of automation took."""
        entry = self._entries.get(instigator_id)
        if entry is not None and entry.sensor.kind == AUTOMATION:
            rest = timedelta(seconds=duration_s * (1 + _REST))
            self._entries[instigator_id] = replace(entry, rest=rest)

    def due(self, now: datetime, *, busy: Collection[int]) -> list[Entry]:
        """Return those whose ticks are to begin now; one that is busy with one waits."""
        return [it for key, it in self._entries.items() if key not in busy and it.next_at(now) <= now]

    def looked(self, instigator_id: int, *, at: datetime) -> None:
        """Take note that there was nothing to see for a sensor."""
        self._entries[instigator_id] = replace(self._entries[instigator_id], looked_at=at, has_news=False)

    def begun(self, instigator_id: int, *, at: datetime) -> None:
        """Take note of a tick that was begun."""
        entry = self._entries[instigator_id]
        self._entries[instigator_id] = replace(
            entry, instigator=replace(entry.instigator, last_tick_at=at), looked_at=None, has_news=False
        )

    def next_at(self, now: datetime, *, busy: Collection[int]) -> datetime | None:
        """Return when the next tick is to begin; None when none is."""
        return min((it.next_at(now) for key, it in self._entries.items() if key not in busy), default=None)


def events_of(watch: Watch) -> list[tuple[str, str]]:
    """Return the kinds and the indexed assets of the events that are looked at."""
    kinds = (watch.kind, *watch.more_kinds)
    return [(kind, asset_text(path)) for kind in kinds for path in sorted(watch.assets)] or [(watch.kind, "")]


def _events(entry: Entry) -> list[tuple[str, str, str]]:
    watch, deployment = entry.sensor.watch, entry.instigator.deployment
    if watch is None:
        return []
    # That an asset was wiped is told of no asset: it has nothing any more.
    wiped = [(WIPED, "")] if entry.sensor.kind == AUTOMATION else []
    return [(deployment, *event) for event in (*events_of(watch), *wiped)]
