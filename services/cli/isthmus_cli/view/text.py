"""Small values as people read them at a terminal: beside those that are told alike everywhere, ages, times and columns."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus_client.words.value import (
    asset_text,
    count_text,
    duration_text,
    epoch_s,
    local_text,
    metadata_text,
    seconds_between,
    size_text,
    value_text,
)

from isthmus_cli.terminal import visible

__all__ = [
    "age_text",
    "asset_text",
    "brief_age",
    "brief_duration",
    "clock_text",
    "columns",
    "count_text",
    "duration_text",
    "epoch_s",
    "metadata_text",
    "moment_text",
    "padded",
    "seconds_between",
    "size_text",
    "value_text",
    "width_of",
]

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86400


def age_text(moment: Timestamp | None, *, now: datetime | None = None) -> str:
    """Tell how long ago something was; "-" when it never was."""
    if moment is None or not (moment.seconds or moment.nanos):
        return "-"
    seconds = max((now or datetime.now(UTC)).timestamp() - epoch_s(moment), 0)
    if seconds < _MINUTE_S:
        return f"{int(seconds)} s ago"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)} min ago"
    if seconds < _DAY_S:
        return f"{int(seconds // _HOUR_S)} h ago"
    return f"{int(seconds // _DAY_S)} d ago"


def brief_age(moment: Timestamp | None, *, now: datetime | None = None) -> str:
    """Tell an age in a table: "12s", "5m", "3h", "2d"."""
    return age_text(moment, now=now).removesuffix(" ago").replace(" min", "m").replace(" ", "")


def brief_duration(seconds: float) -> str:
    """Tell a duration in a table: "654ms", "6.3s", "10m05s"."""
    return duration_text(seconds).replace(" min ", "m").replace(" ", "")


def clock_text(moment: Timestamp) -> str:
    """Tell the time of day here."""
    return local_text(epoch_s(moment), form="%H:%M:%S")


def moment_text(moment: Timestamp) -> str:
    """Tell date and time here, with the zone."""
    return local_text(epoch_s(moment), form="%Y-%m-%d %H:%M:%S %Z")


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align rows under a head, as wide as needed: nothing is cut, so that lines can be searched and copied."""
    table = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(width_of(row[column]) for row in table) for column in range(len(head))]
    return [
        "  ".join(padded(cell, width=width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def width_of(text: str) -> int:
    """Count the characters that a terminal shows."""
    return len(visible(text))


def padded(text: str, *, width: int) -> str:
    """Fill a text up to a width, as a person sees it."""
    return text + " " * (width - width_of(text))
