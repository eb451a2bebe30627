"""Where a reader of a run's output stands: one cursor for each file, moved on by the chunks of an answer."""

from collections.abc import Sequence

from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import LOG_STREAM_STDERR, LOG_STREAM_STDOUT, LogChunk


def starting_cursors(cursors: Sequence[LogCursor]) -> list[LogCursor]:
    """Return the cursors; both streams from their beginnings when there are none."""
    return list(cursors) or [LogCursor(stream=stream) for stream in (LOG_STREAM_STDOUT, LOG_STREAM_STDERR)]


def next_cursors(cursors: Sequence[LogCursor], chunks: Sequence[LogChunk]) -> list[LogCursor]:
    """Return where to go on after chunks; a file that had no cursor gets one."""
    moved = {(cursor.stream, cursor.step_key): LogCursor() for cursor in cursors}
    for cursor in cursors:
        moved[cursor.stream, cursor.step_key].CopyFrom(cursor)
    for chunk in chunks:
        place = moved.setdefault(
            (chunk.stream, chunk.step_key), LogCursor(stream=chunk.stream, step_key=chunk.step_key)
        )
        place.offset = chunk.offset + len(chunk.data)
    return list(moved.values())
