"""Cron expressions, parsed: which minutes of which days are meant, as a clock on a wall shows them.

The rules are those of Dagster 1.13: five fields or an alias; names; lists, ranges that may wrap, and steps; `7` is Sunday;
`L` is a month's last day, `5#2` its second Friday, `L5` its last one.
"""

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from isthmus_control_plane.automation.cron.errors import CronError

_ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS: Final = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS: Final = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
#: In `Nth.which`: the last of its kind in the month.
LAST: Final = 0
_FEBRUARY: Final = 2


@dataclass(frozen=True, eq=False)
class _Range:
    """The values of a field."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]

    @property
    def all(self) -> frozenset[int]:
        return frozenset(range(self.low, self.high + 1))


_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY = _RANGES = (
    _Range("minute", 0, 59, {}),
    _Range("hour", 0, 23, {}),
    _Range("day of month", 1, 31, {}),
    _Range("month", 1, 12, _MONTHS),
    _Range("day of week", 0, 6, _DAYS),
)


class Nth(NamedTuple):
    """A weekday of a month: its first to fifth, or its last."""

    weekday: int
    which: int


@dataclass(frozen=True, slots=True)
class Cron:
    """The minutes that an expression means. A field that says nothing is None."""

    expression: str
    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: frozenset[int] | None
    is_last_day: bool
    months: frozenset[int] | None
    weekdays: frozenset[int] | None
    nth: frozenset[Nth] = frozenset()

    @property
    def is_hourly(self) -> bool:
        """Whether only minutes are said."""
        return self.minutes is not None and not self._says_hours and not self._says_days

    @property
    def is_simple(self) -> bool:
        """Whether it means one moment of each day, of some weekdays, or of a day that every month has."""
        if self.nth or self.months is not None or len(self.minutes or ()) != 1 or len(self.hours or ()) != 1:
            return False
        if self.days is None and not self.is_last_day:
            return True
        is_one_day = len(self.days or ()) == 1 and not self.is_last_day and max(self.days or (0,)) <= _EVERY_MONTH_HAS
        return is_one_day and self.weekdays is None

    @property
    def _says_hours(self) -> bool:
        return self.hours is not None

    @property
    def _says_days(self) -> bool:
        return self.days is not None or self.is_last_day or self.weekdays is not None or self.months is not None

    def has_day(self, day: date) -> bool:
        """Tell whether a day is meant. Of a day of the month and one of the week either will do."""
        if self.months is not None and day.month not in self.months:
            return False
        if self.nth:
            return any(_is_nth(day, it) for it in self.nth)
        in_month = None if self.days is None and not self.is_last_day else self._has_day_of_month(day)
        in_week = None if self.weekdays is None else day.isoweekday() % 7 in self.weekdays
        said = [it for it in (in_month, in_week) if it is not None]
        return any(said) if said else True

    def _has_day_of_month(self, day: date) -> bool:
        return day.day in (self.days or ()) or (self.is_last_day and day.day == _length(day))


_EVERY_MONTH_HAS: Final = 28


def parse(expression: str) -> Cron:
    """Parse an expression.

    Raises:
        CronError: It means nothing, or no day that there is.
    """
    words = expression.strip().lower()
    parts = _ALIASES.get(words, words).split()
    if len(parts) != len(_RANGES):
        problem = f"are {len(parts)}; a cron expression has five: minute, hour, day of month, month, day of week"
        raise CronError(expression, field="fields", problem=problem)
    raw = dict(zip(_RANGES, ("*" if part == "?" else part for part in parts), strict=True))
    if parts[0] == "?" or parts[1] == "?" or parts[3] == "?":
        raise CronError(expression, field="'?'", problem="may stand for a day of month or a day of week alone")
    values = {field: _Field(expression, field) for field in _RANGES}
    for field, text in raw.items():
        values[field].read(text)
    day, weekday = values[_DAY], values[_WEEKDAY]
    cron = Cron(
        expression=expression,
        minutes=_sorted(values[_MINUTE].found()),
        hours=_sorted(values[_HOUR].found()),
        days=day.found(is_beside="*" not in raw[_WEEKDAY]),
        is_last_day=day.is_last,
        months=values[_MONTH].found(),
        weekdays=weekday.found(is_beside="*" not in raw[_DAY]),
        nth=frozenset(weekday.nth),
    )
    if weekday.nth and weekday.values:
        raise CronError(expression, field=_WEEKDAY.name, problem="mixes days of every week with days of the month")
    if cron.months == frozenset({_FEBRUARY}) and not cron.is_last_day and cron.days and cron.days <= {30, 31}:
        raise CronError(expression, field=_DAY.name, problem="is one that February does not have")
    return cron


class _Field:
    """One field, read item by item."""

    def __init__(self, expression: str, field: _Range) -> None:
        self._expression = expression
        self._field = field
        self.values: set[int] = set()
        self.nth: set[Nth] = set()
        self.is_last = False
        self.is_any = False

    def found(self, *, is_beside: bool = False) -> frozenset[int] | None:
        """Return the values; None when the field says nothing. A list of all days says something beside other days."""
        if self.is_any or (self.nth and not self.values) or (self.is_last and not self.values):
            return None
        everything = len(self.values) == len(self._field.all)
        return None if everything and not is_beside else frozenset(self.values)

    def read(self, text: str) -> None:
        """Take in the field's text."""
        for item in text.split(","):
            if self._field is _DAY and item == "l":
                self.is_last = True
            elif item == "*":
                self.is_any = text == "*" or self.is_any
                self.values |= self._field.all if text != "*" else set()
            elif self._field is _WEEKDAY and (match := re.fullmatch(r"(\w+(?:-\w+)?)#(\d+)|l(\d)", item)):
                self._read_nth(match)
            else:
                self.values |= self._range(item)

    def _read_nth(self, match: re.Match[str]) -> None:
        base, number, last = match.groups()
        which = LAST if last else int(number)
        if not last and not 1 <= which <= 5:  # noqa: PLR2004  # a month has five weeks at the most
            raise self._fault(match.group(), "is no week of a month: 1 to 5")
        self.nth |= {Nth(day, which) for day in self._range(last or base)}

    def _range(self, item: str) -> set[int]:
        span, _, step_text = item.partition("/")
        if "/" in item and (not step_text.isdecimal() or int(step_text) == 0):
            raise self._fault(item, "has a step that is no number above 0")
        step = int(step_text or 1)
        if span == "*":
            return set(range(self._field.low, self._field.high + 1, step))
        first, dash, last = span.partition("-")
        low = self._value(first, item=item)
        if not dash:
            return set(range(low, self._field.high + 1, step)) if step_text else {low}
        high = self._field.high if last == "l" and self._field is _DAY else self._value(last, item=item)
        if low == high:
            return set(range(self._field.low, self._field.high + 1, step))
        return set(range(low, high + 1, step)) if low < high else self._wrapped(low, high, step=step)

    def _wrapped(self, low: int, high: int, *, step: int) -> set[int]:
        """Return a range that goes on behind the field's end, its steps counted through."""
        upper = list(range(low, self._field.high + 1, step))
        left_over = self._field.high - upper[-1]
        goes_beyond = upper[-1] - self._field.low + step > len(self._field.all)
        skip = step - left_over if goes_beyond and left_over < step else 0
        return {*upper, *range(self._field.low + skip, high + 1, step)}

    def _value(self, text: str, *, item: str) -> int:
        number = int(text) if text.isdecimal() else self._field.names.get(text)
        if number is None:
            raise self._fault(item, "is neither a number nor a name")
        if self._field is _WEEKDAY and number == 7:  # noqa: PLR2004  # Sunday again
            number = 0
        if not self._field.low <= number <= self._field.high:
            raise self._fault(item, f"is not within {self._field.low} to {self._field.high}")
        return number

    def _fault(self, item: str, problem: str) -> CronError:
        return CronError(self._expression, field=self._field.name, problem=f"{item!r} {problem}")


def _sorted(values: frozenset[int] | None) -> tuple[int, ...] | None:
    return None if values is None else tuple(sorted(values))


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _is_nth(day: date, nth: Nth) -> bool:
    if day.isoweekday() % 7 != nth.weekday:
        return False
    return day.day > _length(day) - 7 if nth.which == LAST else (day.day - 1) // 7 + 1 == nth.which
