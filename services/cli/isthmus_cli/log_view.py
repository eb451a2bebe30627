"""Prints a run's output for reading: merged by time, with the step's name before each line, without what was not asked for."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.telemetry_pb2 import LogChunk

from isthmus_cli.errors import InputError
from isthmus_cli.log_line import LineReader, LogLine, merged
from isthmus_cli.logs import gap_text
from isthmus_cli.run_query import parse_since
from isthmus_cli.view.output import note, print_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import clock_text, padded, width_of

#: How long output must pause, with --follow, before what came is put in order and printed, seconds.
_PAUSE_S = 0.2
#: What is held to be put in order, lines: of more output, each part is in order by itself.
_HELD = 500_000
#: A longer step's name pushes its lines to the right.
_LABEL = 24
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which lines a person wants to see."""

    level: int = logging.INFO
    #: Seconds since 1970.
    since: float | None = None
    #: The last lines only; None for all.
    tail: int | None = None

    @classmethod
    def of(cls, *, level: str, since: str, tail: int | None) -> "Wanted":
        """Read options.

        Raises:
            InputError: Names the option that is not usable.
        """
        name = (level or "INFO").upper()
        known = [each for each in _LEVELS if each.startswith(name)]
        if len(known) != 1:
            raise InputError(f"--level {level} is no level.", remedy=f"Levels: {', '.join(_LEVELS).lower()}")
        moment = parse_since(since, now=datetime.now(UTC)).timestamp() if since else None
        return cls(level=logging.getLevelNamesMapping()[known[0]], since=moment, tail=tail)

    def has(self, line: LogLine) -> bool:
        """Tell whether a line is wanted; what was only printed has no level and is."""
        if line.level is not None and line.level < self.level:
            return False
        return self.since is None or line.at is None or line.at >= self.since


async def print_merged(chunks: AsyncIterator[LogChunk], *, wanted: Wanted, is_following: bool) -> None:
    """Print output line by line in the order of time; with `is_following`, as it comes."""
    printer = _Printer(wanted, paint=Paint.of())
    queue: asyncio.Queue[LogChunk | None] = asyncio.Queue(maxsize=64)
    async with asyncio.TaskGroup() as group:
        group.create_task(_read(chunks, queue=queue))
        while (chunk := await _next(queue, printer=printer, is_following=is_following)) is not None:
            printer.take(chunk)
    printer.end()


async def _read(chunks: AsyncIterator[LogChunk], *, queue: "asyncio.Queue[LogChunk | None]") -> None:
    async for chunk in chunks:
        await queue.put(chunk)
    await queue.put(None)


async def _next(queue: "asyncio.Queue[LogChunk | None]", *, printer: "_Printer", is_following: bool) -> LogChunk | None:
    if is_following:
        try:
            return await asyncio.wait_for(queue.get(), _PAUSE_S)
        except TimeoutError:
            printer.flush()
    return await queue.get()


@dataclass
class _Printer:
    wanted: Wanted
    paint: Paint
    readers: dict[tuple[int, str], LineReader] = field(default_factory=dict)
    held: list[LogLine] = field(default_factory=list)
    #: A step's error was told: the run's own record of it has the same stack once more.
    has_told_failure: bool = False

    def take(self, chunk: LogChunk) -> None:
        """Read a piece of a file."""
        if chunk.HasField("gap"):
            note(gap_text(chunk))
            return
        key = (chunk.stream, chunk.step_key)
        reader = self.readers.get(key)
        if reader is None:
            reader = self.readers[key] = LineReader(chunk.step_key)
        self.held += reader.feed(chunk.data)
        if len(self.held) > _HELD:
            self.flush()

    def flush(self) -> None:
        """Print what was read so far."""
        self.has_told_failure |= any(line.tells_step_failure for line in self.held)
        lines = [line for line in merged(self.held) if self._is_shown(line)]
        self.held = []
        if self.wanted.tail is not None:
            lines = lines[-self.wanted.tail :] if self.wanted.tail else []
            self.wanted = Wanted(level=self.wanted.level, since=self.wanted.since)
        width = min(max((width_of(line.step) for line in lines), default=0), _LABEL)
        print_lines(self._shown(line, width=width) for line in lines)

    def end(self) -> None:
        """Print the rest."""
        for reader in self.readers.values():
            self.held += reader.end()
        self.flush()

    def _is_shown(self, line: LogLine) -> bool:
        return self.wanted.has(line) and not (self.has_told_failure and line.repeats_step_failure)

    def _shown(self, line: LogLine, *, width: int) -> str:
        label = f"{padded(line.step, width=width)} │ " if width else ""
        return f"{self.paint.dim(_time(line) + '  ' + label)}{self._level(line)}{line.text}"

    def _level(self, line: LogLine) -> str:
        if not line.is_head or line.level is None:
            return ""
        name = logging.getLevelName(line.level)
        colour = self.paint.red if line.level >= logging.ERROR else self.paint.yellow
        return f"{colour(name) if line.level >= logging.WARNING else name} "


def _time(line: LogLine) -> str:
    if line.at is None:
        return " " * 8
    moment = Timestamp()
    moment.FromMilliseconds(int(line.at * 1000))
    return clock_text(moment)
