"""Tables that fit the window: what is least needed goes first, long texts are cut, and in a pipe nothing is."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from isthmus_cli.terminal import visible
from isthmus_cli.view.text import padded, width_of

_GAP = 2
#: An id is shown by its first digits, as many as tell it from all others that are shown.
_SHORT_ID = 8


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much room there is for a table."""

    #: Characters; None where nothing is cut.
    width: int | None = None
    #: All columns were asked for.
    is_wide: bool = False
    has_head: bool = True

    @classmethod
    def of(cls, *, is_wide: bool, has_head: bool = True, stream: TextIO = sys.stdout) -> "Room":
        """Measure the window; what goes into a file or a pipe, or was asked for whole, has room without an end."""
        return cls(width=None if is_wide else window_width(stream), is_wide=is_wide, has_head=has_head)


@dataclass(frozen=True)
class Column:
    """A column, and how it gives way."""

    title: str
    #: Characters that it keeps when it is cut; None when it never is.
    least: int | None = None
    #: Whether it is left out before any other is cut.
    may_go: bool = False
    #: Whether it is shown only when all columns are asked for.
    is_extra: bool = False


def window_width(stream: TextIO) -> int | None:
    """Return how many characters a line of the window has; None for what is no window."""
    if not stream.isatty():
        return None
    if (told := os.environ.get("COLUMNS", "")).isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def short_ids(ids: Sequence[str], *, room: Room) -> list[str]:
    """Cut ids to what tells them apart, where there is no room for more."""
    if room.width is None:
        return list(ids)
    distinct = set(ids)
    longest = max((len(each) for each in distinct), default=0)
    length = next(
        (size for size in range(_SHORT_ID, longest) if len({each[:size] for each in distinct}) == len(distinct)),
        longest,
    )
    return [each[:length] for each in ids]


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, room: Room) -> list[str]:
    """Lay a table out in the room that there is."""
    cells = [[column.title for column in columns], *map(list, rows)]
    shown = [index for index, column in enumerate(columns) if room.is_wide or not column.is_extra]
    widths = {index: max(width_of(row[index]) for row in cells) for index in shown}
    if room.width is not None:
        widths = _fitted(columns, widths, room=room.width)
    lines = [
        "  ".join(padded(_cut(row[i], width=widths[i]), width=widths[i]) for i in widths).rstrip() for row in cells
    ]
    return lines if room.has_head else lines[1:]


def _fitted(columns: Sequence[Column], widths: dict[int, int], *, room: int) -> dict[int, int]:
    """Leave out and narrow columns until they fit: the rightmost of the widest first, each down to its least."""
    fitted = dict(widths)
    for index in sorted(fitted, reverse=True):
        if _total(fitted) > room and columns[index].may_go:
            del fitted[index]
    while (excess := _total(fitted) - room) > 0:  # pauses: each turn narrows a column, and columns have a least width
        spare = {index: width - _least(columns[index], width) for index, width in fitted.items()}
        widest = max(spare, key=lambda index: (spare[index], index))
        if spare[widest] <= 0:
            break
        second = sorted(spare.values())[-2] if len(spare) > 1 else 0
        fitted[widest] -= min(excess, max(spare[widest] - second, 1))
    return fitted


def _least(column: Column, width: int) -> int:
    return width if column.least is None else min(width, max(column.least, len(column.title)))


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _cut(text: str, *, width: int) -> str:
    return text if width_of(text) <= width else visible(text)[: width - 1] + "…"
