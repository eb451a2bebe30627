"""Small values as people read them, at a terminal and on a page alike: durations, sizes, asset keys, metadata."""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.telemetry_pb2 import AssetKey, MetadataEntry, MetadataValue

_MINUTE_S = 60
_HOUR_S = 3600
_KILO = 1000
#: Below this a size has a digit behind the point.
_SHORT = 10
_METADATA_CHARS = 80


def duration_text(seconds: float) -> str:
    """Tell a duration with about three digits."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)} min {int(seconds % _MINUTE_S):02} s"
    return f"{int(seconds // _HOUR_S)} h {int(seconds % _HOUR_S // _MINUTE_S):02} min"


def epoch_s(moment: Timestamp) -> float:
    """Return the seconds since 1970, also of a moment that no calendar has."""
    return moment.seconds + moment.nanos / 1e9


def seconds_between(start: Timestamp, end: Timestamp) -> float:
    """Measure from one moment to another."""
    return (end.seconds - start.seconds) + (end.nanos - start.nanos) / 1e9


def local_text(seconds: float, *, form: str) -> str:
    """Write a moment as the clock here shows it; one that no calendar has as the number that it is."""
    try:
        moment = datetime.fromtimestamp(seconds, tz=UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.15g}"
    return moment.strftime(form) if form else moment.isoformat(" ", "seconds")


def enum_text(value: int, *, descriptor: EnumDescriptor) -> str:
    """Name an enum's value without the prefix that the contract's names carry; a number if it is not known here."""
    known = descriptor.values_by_number.get(value)
    if known is None:
        return str(value)
    # The enum's first value is <PREFIX>UNSPECIFIED.
    return str(known.name.removeprefix(descriptor.values[0].name.removesuffix("UNSPECIFIED")))


def asset_text(key: AssetKey) -> str:
    """Write an asset key as people type it."""
    return "/".join(key.path)


def metadata_text(entries: Iterable[MetadataEntry]) -> str:
    """Write metadata on one line, long values cut."""
    return "  ".join(f"{entry.label}={_cut(value_text(entry.value))}" for entry in entries)


def value_text(value: MetadataValue) -> str:
    """Write one metadata value on one line."""
    kind = value.WhichOneof("value")
    if kind is None:
        return "null"
    inner = getattr(value, kind)
    tell = _VALUE_TELLERS.get(kind)
    return tell(inner) if tell else str(inner)


def size_text(size: int) -> str:
    """Tell a number of bytes as people write it, with two or three digits that count."""
    if size < _KILO:
        return f"{size} B"
    value, units = float(size), ("kB", "MB", "GB", "TB")
    for unit in units:
        value /= _KILO
        if value < _KILO or unit == units[-1]:
            break
    return f"{value:.1f} {unit}" if value < _SHORT else f"{value:.0f} {unit}"


def count_text(count: int, noun: str) -> str:
    """Count things: "1 step", "2 steps", "3 assets"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}es" if noun.endswith(("s", "ch")) else f"{count} {noun}s"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _METADATA_CHARS else line[: _METADATA_CHARS - 1] + "…"


_VALUE_TELLERS: dict[str, Callable[[Any], str]] = {
    "null": lambda _: "null",
    "float": lambda number: f"{number:g}",
    "timestamp": lambda seconds: local_text(seconds, form=""),
    "asset": asset_text,
    "job": lambda job: job.job_name,
    "python_artifact": lambda artifact: f"{artifact.module}.{artifact.name}",
    "table": lambda table: f"<table of {count_text(len(table.records) + table.records_left_out, 'row')}>",
    "table_schema": lambda schema: f"<schema of {count_text(len(schema.columns), 'column')}>",
    "opaque": lambda opaque: opaque.text or f"<{opaque.type_name}>",
    "column_lineage": lambda _: "<column lineage>",
    "code_references": lambda _: "<code references>",
}
