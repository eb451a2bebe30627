"""Hours in which nothing is sent. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

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
