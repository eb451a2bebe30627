"""The moments at which cron expressions are due in a time zone, also when its clocks are changed.

The rules are those of Dagster 1.13.29, which schedules were written for:

* Where only minutes are said, an hour is an hour, whatever clocks show. The minutes are those of UTC, unless the zone's
  present offset has minutes itself.
* Where no hours are said, times that a clock skips are left out, and times that it shows twice are due twice.
* Where hours are said, a skipped time is due at the skip's end, and one that is shown twice at the later moment.
* One moment of a day goes by that only in the hours 1, 2 and 3; at other hours the earlier moment counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from heapq import merge
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from isthmus_control_plane.automation.cron.errors import UnknownZoneError
from isthmus_control_plane.automation.cron.expression import Cron

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
#: How far an expression may look for its next day: 29 February is a Monday, say, every 28 or 40 years.
_HORIZON_DAYS: Final = 366 * 41
#: Hours in which clocks are usually changed.
_CHANGE_HOURS: Final = frozenset({1, 2, 3})


@cache
def zone(name: str) -> ZoneInfo:
    """Return a time zone; an empty name is UTC.

    Raises:
        UnknownZoneError: There is none of this name.
    """
    try:
        return ZoneInfo(name or "UTC")
    except (OSError, ValueError, KeyError) as error:
        raise UnknownZoneError(name) from error


def after(
    crons: Sequence[Cron], moment: datetime, *, within: ZoneInfo, present: datetime | None = None
) -> Iterator[datetime]:
    """Yield the moments after a moment, in UTC, each once; what several expressions mean is due once.

    Args:
        crons: What is meant.
        moment: Where to begin; the moment itself is not told again.
        within: The zone whose clocks are meant.
        present: The moment whose offset decides which minutes are meant; otherwise `moment`.
    """
    last = moment
    for found in merge(*(_of_one(cron, moment, within=within, present=present or moment) for cron in crons)):
        if found > last:
            last = found
            yield found


def latest(
    crons: Sequence[Cron], *, since: datetime, until: datetime, within: ZoneInfo, at_most: int
) -> list[datetime]:
    """Return the newest moments after `since` and up to `until`, oldest first."""
    # Doubling the look back costs what is found, not what lies between: a minute's cron may have a year behind it.
    span = _HOUR
    while True:
        begin = max(since, until - span)
        found = list(_until(after(crons, begin, within=within, present=until), until))
        if len(found) >= at_most or begin == since:
            return found[-at_most:] if at_most else []
        span *= 8


def upcoming(crons: Sequence[Cron], moment: datetime, *, within: ZoneInfo, count: int) -> list[datetime]:
    """Return the next moments, fewer when there are no more."""
    return list(islice(after(crons, moment, within=within), count))


def _until(times: Iterable[datetime], end: datetime) -> Iterator[datetime]:
    for it in times:
        if it > end:
            return
        yield it


def _of_one(cron: Cron, moment: datetime, *, within: ZoneInfo, present: datetime) -> Iterator[datetime]:
    if cron.is_hourly:
        yield from _hourly(cron.minutes or (), moment, within=within, present=present)
        return
    last = moment
    first = moment.astimezone(within).date() - _DAY
    for day in _days(cron, first):
        for found in _of_day(cron, day, beyond=last, within=within):
            last = found
            yield found


def _hourly(minutes: Sequence[int], moment: datetime, *, within: ZoneInfo, present: datetime) -> Iterator[datetime]:
    is_local = bool(_offset(present, within) % _HOUR)
    at = moment.astimezone(UTC).replace(second=0, microsecond=0)
    shift = _offset(at, within) if is_local else timedelta(0)
    while True:  # ends with its caller
        shown = (at + shift).minute
        at += min((minute - shown - 1) % 60 + 1 for minute in minutes) * _MINUTE
        yield at
        if is_local and len(minutes) > 1:
            # Where clocks are changed by half an hour, a single minute goes on by the hour.
            shift = _offset(at, within)


def _days(cron: Cron, first: date) -> Iterator[date]:
    """Yield the days that are meant, as long as the calendar has days and they come at all."""
    day, left = first, _HORIZON_DAYS
    while left > 0:
        if cron.has_day(day):
            yield day
            left = _HORIZON_DAYS
        if day >= date.max - _DAY:
            return
        day, left = day + _DAY, left - 1


def _of_day(cron: Cron, day: date, *, beyond: datetime, within: ZoneInfo) -> Iterator[datetime]:
    """Yield the times of a day that are later than a moment, in their order."""
    hours = range(24) if cron.hours is None else cron.hours
    minutes = range(60) if cron.minutes is None else cron.minutes
    # Unless clocks are changed on the day, its offset holds for all of it.
    begin, end = datetime.combine(day, time(0), within), datetime.combine(day, time(23, 59, 59), within)
    if cron.is_simple:
        yield from _later({_simple(datetime.combine(day, time(hours[0], minutes[0]), within))}, beyond)
    elif _is_steady(begin, end):
        yield from _of_steady_day(begin.astimezone(UTC), hours=hours, minutes=minutes, beyond=beyond)
    else:
        walls = (datetime.combine(day, time(hour, minute), within) for hour in hours for minute in minutes)
        yield from _later({it for wall in walls for it in _on_change(wall, has_hours=cron.hours is not None)}, beyond)


def _of_steady_day(
    start: datetime, *, hours: Sequence[int], minutes: Sequence[int], beyond: datetime
) -> Iterator[datetime]:
    for hour in hours:
        # Whole hours are passed over: who asks for the next time wants one of the many that a day may have.
        begin = start + hour * _HOUR
        if begin + _HOUR > beyond:
            yield from (it for minute in minutes if (it := begin + minute * _MINUTE) > beyond)


def _later(found: set[datetime], beyond: datetime) -> list[datetime]:
    return sorted(it for it in found if it > beyond)


def _is_steady(begin: datetime, end: datetime) -> bool:
    offsets = {it.replace(fold=fold).utcoffset() for it in (begin, end) for fold in (0, 1)}
    return len(offsets) == 1 and end.astimezone(UTC) - begin.astimezone(UTC) == end.replace(
        tzinfo=None
    ) - begin.replace(tzinfo=None)


def _on_change(wall: datetime, *, has_hours: bool) -> Iterator[datetime]:
    if not _exists(wall):
        if has_hours:
            yield _behind_gap(wall).astimezone(UTC)
    elif has_hours or not _is_twice(wall):
        yield wall.replace(fold=1).astimezone(UTC)
    else:
        yield wall.astimezone(UTC)
        yield wall.replace(fold=1).astimezone(UTC)


def _simple(wall: datetime) -> datetime:
    moved = _behind_gap(wall)
    if moved.hour in _CHANGE_HOURS and _is_twice(moved):
        # Also where the gap's end does not exist by this reckoning.
        moved = moved.replace(fold=1)
    return moved.astimezone(UTC)


def _behind_gap(wall: datetime) -> datetime:
    """Return the first time that clocks show after they skipped this one."""
    if wall.hour not in _CHANGE_HOURS or _exists(wall):
        return wall
    return wall.replace(minute=0) + ((wall + _HOUR).dst() or timedelta(0))


def _exists(wall: datetime) -> bool:
    return wall.astimezone(UTC).astimezone(wall.tzinfo).replace(tzinfo=None) == wall.replace(tzinfo=None)


def _is_twice(wall: datetime) -> bool:
    return wall.utcoffset() != wall.replace(fold=1).utcoffset()


def _offset(moment: datetime, within: ZoneInfo) -> timedelta:
    return moment.astimezone(within).utcoffset() or timedelta(0)
