"""The keys of partitions, in their order, as the framework would name them now. Pure.

Keys of time windows are those of Dagster 1.13.29: a window begins at each time of its cron expression, and is there once it is
over, or so many windows earlier or later as the definition's end offset says.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise, product
from typing import Final
from zoneinfo import ZoneInfo

from isthmus.v1.telemetry_pb2 import PartitionsSnapshot

from isthmus_control_plane import clock
from isthmus_control_plane.automation.cron.errors import CronError, UnknownZoneError
from isthmus_control_plane.automation.cron.expression import Cron, parse
from isthmus_control_plane.automation.cron.times import after, zone
from isthmus_control_plane.validation.definition import KEY_SEPARATOR

_INSTANT: Final = timedelta(microseconds=1)


class UncountableError(Exception):
    """Only the code that defines these partitions knows which there are."""


def keys_of(told: PartitionsSnapshot, *, dynamic: Mapping[str, Sequence[str]], at: datetime) -> list[str]:
    """Return the keys of partitions that there are at a moment.

    Args:
        told: How they are defined.
        dynamic: The keys of dynamic partitions, by the names that they are kept under.
        at: The moment.

    Raises:
        UncountableError: Only the code of their author knows.
    """
    match told.kind:
        case "static":
            return list(told.keys)
        case "dynamic" if told.dynamic_name:
            return list(dynamic.get(told.dynamic_name, ()))
        case "multi":
            parts = [keys_of(told.dimensions[name], dynamic=dynamic, at=at) for name in sorted(told.dimensions)]
            return [KEY_SEPARATOR.join(part) for part in product(*parts)]
        case "time_window":
            return _window_keys(told, at=at)
    raise UncountableError(f"partitions of the kind {told.kind!r} are known to the code that defines them alone")


def dynamic_names(told: PartitionsSnapshot) -> set[str]:
    """Return under which names the keys of dynamic partitions are kept that a definition needs."""
    if told.kind == "dynamic" and told.dynamic_name:
        return {told.dynamic_name}
    return {name for dimension in told.dimensions.values() for name in dynamic_names(dimension)}


def _window_keys(told: PartitionsSnapshot, *, at: datetime) -> list[str]:
    try:
        cron, within = parse(told.cron_schedule), zone(told.timezone)
        excluded = _Excluded.of(told)
    except (CronError, UnknownZoneError) as error:
        raise UncountableError(f"time windows that nobody but their author can count: {error}") from error
    name = _namer(told.format, cron=cron, within=within)
    return [name(start) for start in _starts(told, cron=cron, within=within, excluded=excluded, at=at)]


@dataclass(frozen=True, slots=True)
class _Excluded:
    """Where windows begin that are left out."""

    starts: frozenset[datetime]
    crons: tuple[Cron, ...]

    @classmethod
    def of(cls, told: PartitionsSnapshot) -> "_Excluded":
        starts = frozenset(clock.moment(it) for it in told.excluded_starts)
        return cls(starts, tuple(parse(it) for it in told.excluded_crons))

    def has(self, start: datetime, *, within: ZoneInfo) -> bool:
        """Tell whether the window that begins then is left out."""
        if start in self.starts:
            return True
        return bool(self.crons) and next(after(self.crons, start - _INSTANT, within=within)) == start


def _starts(
    told: PartitionsSnapshot, *, cron: Cron, within: ZoneInfo, excluded: _Excluded, at: datetime
) -> list[datetime]:
    windows = _windows(told, cron=cron, within=within, excluded=excluded)
    found: list[datetime] = []
    # Beyond those that are over, as many as the offset says.
    ahead = max(told.end_offset, 0)
    for start, end in windows:
        if end > at:
            if not ahead:
                break
            ahead -= 1
        found.append(start)
    if told.end_offset < 0:
        # At least one is left, as in the framework.
        found = found[: max(len(found) + told.end_offset, 1)]
    return found


def _windows(
    told: PartitionsSnapshot, *, cron: Cron, within: ZoneInfo, excluded: _Excluded
) -> Iterator[tuple[datetime, datetime]]:
    """Yield the windows up to the end of the definition, which may be far away."""
    last = clock.moment(told.end) if told.HasField("end") else None
    begin = clock.moment(told.start)
    times: Iterable[datetime] = after([cron], begin - _INSTANT, within=within)
    for start, end in pairwise(times):
        if last is not None and end > last:
            return
        if not excluded.has(start, within=within):
            yield start, end


class _Namer:
    """Writes the key of a window that begins at a moment."""

    def __init__(self, form: str, *, within: ZoneInfo, is_hourly: bool) -> None:
        self._form = form
        self._within = within
        #: Where an hour comes twice, the second one's keys say their offset.
        self._may_be_twice = is_hourly and "%z" not in form and within.key != "UTC"

    def __call__(self, start: datetime) -> str:
        wall = start.astimezone(self._within)
        form = self._form
        if self._may_be_twice and wall.fold and wall.utcoffset() != wall.replace(fold=0).utcoffset():
            form += "%z"
        return wall.strftime(form)


def _namer(form: str, *, cron: Cron, within: ZoneInfo) -> _Namer:
    return _Namer(form, within=within, is_hourly=cron.hours is None)
