"""Reads the lines of a run's output: when each was written, at which level, by which step. Pure."""

import codecs
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

#: As Dagster writes a record: time, logger, level, then job, run, process, step, what happened, message.
_RECORD = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?P<zone>[+-]\d{4}) - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<rest>.*)",
    re.DOTALL,
)
_OF_RUN = re.compile(r"\S+ - [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} - (?:\d+ - )?(?P<said>.*)", re.DOTALL)
_OF_STEP = re.compile(r"(?P<step>[\w.\[\]?-]+) - (?P<said>.*)", re.DOTALL)
_EVENT_KIND = re.compile(r"[A-Z]+(?:_[A-Z]+)+|LOGS_CAPTURED")
#: What a run's last record tells of; it repeats the error of the step that failed.
_RUN_FAILURE = "RUN_FAILURE"
_STEP_FAILURE = "STEP_FAILURE"
_LAST_WORDS = frozenset({_RUN_FAILURE, "RUN_SUCCESS", "RUN_CANCELED"})


@dataclass(frozen=True)
class LogLine:
    """A line of output."""

    text: str
    #: The step that wrote it; empty for the run itself.
    step: str = ""
    #: Seconds since 1970; None when neither the line nor one before it in its file tells.
    at: float | None = None
    #: Python's level of the record that it belongs to; None for what was only printed.
    level: int | None = None
    #: Whether it begins a record.
    is_head: bool = False
    #: What the record says that happened, as in STEP_FAILURE; empty for a message of the code's own.
    kind: str = ""

    @property
    def tells_step_failure(self) -> bool:
        """Whether a step's error follows."""
        return self.is_head and self.kind == _STEP_FAILURE

    @property
    def repeats_step_failure(self) -> bool:
        """Whether it is a line of the error that a run took over from its step."""
        return not self.is_head and self.level is not None and self.kind == _RUN_FAILURE


@dataclass
class LineReader:
    """Reads one file of a run, piece by piece."""

    #: Whose own file it is; empty for the file of the run's process.
    step: str
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    _begun: str = ""
    _last: LogLine = LogLine("")
    #: The record's message goes on: with an error, which begins with an empty line.
    _has_error: bool = False

    def feed(self, data: bytes) -> list[LogLine]:
        """Take a piece and return the lines that are whole by now."""
        *whole, self._begun = (self._begun + self._decoder.decode(data)).split("\n")
        return [self._line(text.removesuffix("\r")) for text in whole]

    def end(self) -> list[LogLine]:
        """Return what has no line's end."""
        rest, self._begun = self._begun + self._decoder.decode(b"", final=True), ""
        return [self._line(rest)] if rest else []

    def _line(self, text: str) -> LogLine:
        record = _RECORD.fullmatch(text)
        if record is not None and (line := self._record(record)) is not None:
            self._last, self._has_error = line, False
            return line
        if not text and self._last.is_head:
            self._has_error = self._last.level is not None
        level = self._last.level if self._has_error else None
        line = replace(self._last, text=text, step=self._last.step or self.step, level=level, is_head=False)
        self._last = replace(self._last, is_head=False)
        return line

    def _record(self, found: re.Match[str]) -> LogLine | None:
        level = logging.getLevelName(found["level"])
        try:
            at = datetime.fromisoformat(f"{found['at']}{found['zone']}").timestamp()
        except (ValueError, OverflowError):
            return None
        if not isinstance(level, int):
            return None
        of_run = _OF_RUN.fullmatch(found["rest"])
        step, said = _step_of(of_run["said"], step=self.step) if of_run else (self.step, found["rest"])
        kind = _EVENT_KIND.match(said)
        return LogLine(said, step=step, at=at, level=level, is_head=True, kind=kind[0] if kind else "")


def _step_of(said: str, *, step: str) -> tuple[str, str]:
    """Tell the step from what it said."""
    if step:
        return step, said.removeprefix(f"{step} - ")
    found = _OF_STEP.fullmatch(said)
    if found is None or _EVENT_KIND.fullmatch(found["step"]):
        return "", said
    return found["step"], found["said"]


def merged(lines: Iterable[LogLine]) -> list[LogLine]:
    """Bring lines, which come file by file, into the order of time.

    What was printed before a file's first record has the time of the first record of the same step, or of any.
    """
    timed: Sequence[LogLine] = list(lines)
    firsts: dict[str, float] = {}
    for line in timed:
        if line.at is not None:
            firsts[line.step] = min(firsts.get(line.step, line.at), line.at)
    first = min(firsts.values(), default=0.0)

    def place(line: LogLine) -> tuple[float, bool]:
        # Records are dated to the second: in the same one, a run's last words come after its steps'.
        return firsts.get(line.step, first) if line.at is None else line.at, line.kind in _LAST_WORDS

    return sorted(timed, key=place)
