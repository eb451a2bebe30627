"""Where one step's output lies among that of its run: told by the offsets that its events carry."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import LogChunk
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalReader
from isthmus_spool.output import Slice, read_output
from isthmus_spool.step_output import course_journal

_BEGINS = frozenset({"step_started", "step_restarted"})
_PAUSES = frozenset({"step_up_for_retry"})
_ENDS = frozenset({"step_succeeded", "step_failed", "step_skipped"})


@dataclass
class Window:
    """A stretch of the run's own output that belongs to the step: one try of it."""

    begin: telemetry.LogOffsets
    #: None while the step goes on.
    end: telemetry.LogOffsets | None = None


@dataclass(frozen=True)
class Stretch:
    """What of a stream is the step's next piece."""

    begin: int
    #: Exclusive; None while the step goes on.
    end: int | None


class StepCourse:
    """Follows one step through the journal of the run's steps."""

    def __init__(self, step_key: str) -> None:
        """Know nothing yet."""
        self.step_key = step_key
        self.is_over = False
        self.is_known = False
        #: Every step that the journal names: told to who asked for one that is not there.
        self.seen: set[str] = set()
        self._windows: list[Window] = []
        self._reader: JournalReader | None = None

    def read(self, folder: AttemptFolder) -> None:
        """Take in what the journal has got since the last call."""
        if self._reader is None:
            self._reader = JournalReader(course_journal(folder))
        while (part := self._reader.read()).events:
            for event in part.events:
                self.note(event)
            self._reader.advance(part)

    def note(self, event: telemetry.Event) -> None:
        """Take in one event of the run."""
        if event.HasField("run_started"):
            self.seen.update(event.run_started.step_keys)
        if event.step_key:
            self.seen.add(event.step_key)
        if event.step_key != self.step_key:
            return
        self.is_known = True
        name = event.WhichOneof("body") or ""
        body: Any = getattr(event, name, None)
        if name in _BEGINS and not body.log_offsets.is_own_file:
            self._windows.append(Window(body.log_offsets))
        elif name in _PAUSES | _ENDS and self._windows and self._windows[-1].end is None:
            self._windows[-1].end = getattr(body, "log_offsets", None)
        self.is_over = name in _ENDS or (self.is_over and name not in _BEGINS)

    def stretch(self, stream: telemetry.LogStream.ValueType, *, after: int) -> Stretch | None:
        """Return where the step's output goes on after an offset of the run's stream; None when nothing follows yet."""
        for window in self._windows:
            begin = _of_stream(window.begin, stream)
            end = _of_stream(window.end, stream) if window.end is not None else None
            if end is None or after < end:
                return Stretch(max(after, begin), end)
        return None


def read_step(folder: AttemptFolder, course: StepCourse, *, cursors: Sequence[LogCursor], max_bytes: int) -> Slice:
    """Read what a step wrote behind the cursors: in its own files if it has some, else its part of the run's.

    Args:
        folder: The attempt.
        course: The step's course, read before.
        cursors: Where to begin, by stream and file; a stream that has none is left out.
        max_bytes: The most to return.
    """
    own = _own_cursors(course.step_key, cursors)
    read = read_output(folder, cursors=own, has_all_steps=False, max_bytes=max_bytes)
    chunks, is_whole = list(read.chunks), read.is_whole
    left = max_bytes - sum(len(chunk.data) for chunk in chunks)
    for cursor in cursors:
        if not cursor.step_key and left > 0:
            shared = _read_shared(folder, course, cursor=cursor, max_bytes=left)
            chunks += shared.chunks
            left -= sum(len(chunk.data) for chunk in shared.chunks)
            is_whole = is_whole and shared.is_whole
    return Slice(chunks, is_whole=is_whole and left > 0)


def _own_cursors(step_key: str, cursors: Sequence[LogCursor]) -> list[LogCursor]:
    offsets = {cursor.stream: 0 for cursor in cursors}
    offsets |= {cursor.stream: cursor.offset for cursor in cursors if cursor.step_key == step_key}
    return [LogCursor(stream=stream, step_key=step_key, offset=offset) for stream, offset in offsets.items()]


def _read_shared(folder: AttemptFolder, course: StepCourse, *, cursor: LogCursor, max_bytes: int) -> Slice:
    """Read the step's next piece of a stream that it shares with the other steps of its run."""
    stretch = course.stretch(cursor.stream, after=cursor.offset)
    if stretch is None:
        return Slice([], is_whole=True)
    place = LogCursor(stream=cursor.stream, offset=stretch.begin)
    read = read_output(folder, cursors=[place], has_all_steps=False, max_bytes=max_bytes)
    if stretch.end is None:
        # The next step's output follows without a mark. A step's end is in the journal before the next one writes: by
        # now the journal tells of every end that lies within what was read.
        course.read(folder)
        stretch = course.stretch(cursor.stream, after=cursor.offset) or Stretch(stretch.begin, stretch.begin)
    chunks = [piece for chunk in read.chunks if (piece := _until(chunk, stretch.end)) is not None]
    told = chunks[-1].offset + len(chunks[-1].data) if chunks else stretch.begin
    is_at_end = stretch.end is not None and told >= stretch.end
    follows = course.stretch(cursor.stream, after=told) if is_at_end else None
    return Slice(chunks, is_whole=follows is None if is_at_end else read.is_whole)


def _until(chunk: LogChunk, end: int | None) -> LogChunk | None:
    """Return the part of a chunk before an offset; None when nothing is left."""
    if end is None or chunk.offset + len(chunk.data) <= end:
        return chunk
    if chunk.offset >= end:
        return None
    return LogChunk(stream=chunk.stream, offset=chunk.offset, data=chunk.data[: end - chunk.offset])


def _of_stream(offsets: telemetry.LogOffsets, stream: telemetry.LogStream.ValueType) -> int:
    return offsets.stdout if stream == telemetry.LOG_STREAM_STDOUT else offsets.stderr
