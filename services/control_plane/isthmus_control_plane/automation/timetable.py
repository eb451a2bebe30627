"""Which schedules are due, and when the next one is. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final
from zoneinfo import ZoneInfo

from isthmus_store.record.automation import Instigator

from isthmus_control_plane.automation.cron import times
from isthmus_control_plane.automation.cron.errors import CronError, UnknownZoneError
from isthmus_control_plane.automation.cron.expression import Cron, parse
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import Schedule

#: How many missed times a schedule makes up for, as a tag of its own; without it the latest one alone.
CATCH_UP_TAG: Final = "isthmus/catch_up"
_MOST_CAUGHT_UP: Final = 1000
#: More digits are more than that, and too many are no number of Python's.
_MOST_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Clockwork:
    """A schedule's times."""

    crons: tuple[Cron, ...]
    zone: ZoneInfo
    #: What keeps it from having times, for people.
    problem: str = ""

    @classmethod
    def of(cls, schedule: Schedule) -> "Clockwork":
        """Read a schedule's expressions; one that cannot be read has no times, and says why."""
        try:
            crons = tuple(parse(it) for it in schedule.crons)
            return cls(crons, times.zone(schedule.timezone))
        except (CronError, UnknownZoneError) as error:
            return cls((), times.zone(""), str(error))

    def next(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment; None when there is none."""
        return _next(self.crons, self.zone, moment) if self.crons else None

    def upcoming(self, moment: datetime, *, count: int) -> list[datetime]:
        """Return the next times."""
        return times.upcoming(self.crons, moment, within=self.zone, count=count) if self.crons else []


@lru_cache(maxsize=16_384)
def _next(crons: tuple[Cron, ...], zone: ZoneInfo, moment: datetime) -> datetime | None:
    """Find the first time after a moment: many schedules have the same times, and each is asked for more than once."""
    return next(times.after(crons, moment, within=zone), None)


def fingerprint(schedule: Schedule) -> str:
    """Return what changes when a schedule's times do."""
    return sha256("\n".join((schedule.timezone, *schedule.crons)).encode()).hexdigest()


def catch_up(schedule: Schedule) -> int:
    """Return how many missed times are made up for, one at the least."""
    text = schedule.tags.get(CATCH_UP_TAG, "")
    return min(_MOST_CAUGHT_UP, max(1, int(text))) if text.isdecimal() and len(text) <= _MOST_DIGITS else 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A schedule, as it stands and as it is defined."""

    instigator: Instigator
    schedule: Schedule
    clockwork: Clockwork
    #: Its next time; None when it does not run or has none.
    next_at: datetime | None

    @classmethod
    def of(cls, instigator: Instigator, schedule: Schedule, *, before: "Entry | None") -> "Entry":
        """Work out when it is due next; what was known `before` is used where nothing changed."""
        is_known = before is not None and before.schedule is schedule
        if before is not None and is_known and before.instigator == instigator:
            return before
        clockwork = before.clockwork if before is not None and is_known else Clockwork.of(schedule)
        next_at = clockwork.next(_counted(instigator)) if instigator.is_running else None
        return cls(instigator, schedule, clockwork, next_at)

    @property
    def location(self) -> LocationKey:
        """Where it is defined."""
        return LocationKey(self.instigator.deployment, self.instigator.location)

    def due(self, now: datetime) -> datetime | None:
        """Return the time whose tick is to begin now: the latest missed one, or the first of those to be caught up."""
        if self.next_at is None or self.next_at > now:
            return None
        following = self.clockwork.next(self.next_at)
        if following is None or following > now:
            return self.next_at
        found = times.latest(
            self.clockwork.crons,
            since=_counted(self.instigator),
            until=now,
            within=self.clockwork.zone,
            at_most=catch_up(self.schedule),
        )
        return found[0] if found else None

    def after(self, at: datetime) -> "Entry":
        """Return it after its tick for a time was begun."""
        known = replace(self.instigator, last_tick_at=at)
        return replace(self, instigator=known, next_at=self.clockwork.next(_counted(known)))


class Timetable:
    """All schedules that run, and their next times."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}

    def get(self, instigator_id: int) -> Entry | None:
        """Return a schedule that runs."""
        return self._entries.get(instigator_id)

    def replace(self, known: Iterable[tuple[Instigator, Schedule]]) -> None:
        """Take in how schedules stand and are defined now."""
        self._entries = {
            it.id: Entry.of(it, schedule, before=self._entries.get(it.id)) for it, schedule in known if it.is_running
        }

    def clear(self) -> None:
        """Forget all."""
        self._entries = {}

    def due(self, now: datetime, *, busy: Collection[int]) -> Mapping[int, datetime]:
        """Return which times' ticks are to begin now; a schedule that is busy with one waits."""
        found = {}
        for instigator_id, entry in self._entries.items():
            at = entry.due(now) if instigator_id not in busy else None
            if at is not None:
                found[instigator_id] = at
        return found

    def begun(self, times_begun: Mapping[int, datetime]) -> None:
        """Take note of ticks that were begun."""
        for instigator_id, at in times_begun.items():
            self._entries[instigator_id] = self._entries[instigator_id].after(at)

    def next_at(self, *, busy: Collection[int]) -> datetime | None:
        """Return when the next tick is to begin; None when none is."""
        return min(
            (it.next_at for key, it in self._entries.items() if it.next_at is not None and key not in busy),
            default=None,
        )


def _counted(instigator: Instigator) -> datetime:
    """Return the moment after which times count."""
    last = instigator.last_tick_at
    return max(last, instigator.since) if last is not None else instigator.since
