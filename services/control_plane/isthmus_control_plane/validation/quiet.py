"""Hours in which nothing is sent. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from isthmus.v1.control_plane_pb2 import QuietHours

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, kw_only=True, slots=True)
class Quiet:
    """When to be quiet. Hours that end before they begin end on the next day; equal ones are a whole day."""

    begins: time
    ends: time
    zone: ZoneInfo
    #: Of the week, 0 for Monday: those on which the hours begin.
    days: frozenset[int]

    def until(self, now: datetime) -> datetime | None:
        """Return when the quiet of now ends; None when there is none."""
        today = now.astimezone(self.zone).date()
        ends = [self._end(day) for day in (today - timedelta(days=1), today) if self._covers(day, now)]
        return max(ends) if ends else None

    def _covers(self, day: date, now: datetime) -> bool:
        begin = datetime.combine(day, self.begins, self.zone)
        return day.weekday() in self.days and begin <= now < self._end(day)

    def _end(self, day: date) -> datetime:
        last = day if self.ends > self.begins else day + timedelta(days=1)
        return datetime.combine(last, self.ends, self.zone)


def parse_time(text: str) -> time:
    """Read a time of the day, as in 22:00; 24:00 is the day's end.

    Raises:
        ValueError: It is none.
    """
    hours, colon, minutes = text.partition(":")
    if not colon or not (hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()):
        raise ValueError(text)
    return time(0) if (int(hours), int(minutes)) == (24, 0) else time(int(hours), int(minutes))


def quiet_of(said: QuietHours) -> Quiet:
    """Read hours.

    Raises:
        ValueError: A time, a day or the zone is none.
    """
    return Quiet(
        begins=parse_time(getattr(said, "from")),
        ends=parse_time(said.until),
        zone=zone(said.timezone),
        days=frozenset(DAYS.index(day) for day in said.days) or frozenset(range(7)),
    )


def zone(name: str) -> ZoneInfo:
    """Return a time zone; an empty name is UTC.

    Raises:
        ValueError: There is none of this name.
    """
    try:
        return ZoneInfo(name or "UTC")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(name) from error
