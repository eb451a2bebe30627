"""Reads what a run wrote to its standard output and error, from offsets on, with what is missing marked."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import LOG_STREAM_STDERR, LOG_STREAM_STDOUT, LogChunk, LogGap, LogStream

from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.step_output import list_step_outputs, step_output
from isthmus_spool.unfollowed import open_unfollowed
from isthmus_spool.values import value_path

#: The most that one chunk carries, bytes: far below what gRPC takes in a message.
CHUNK_BYTES = 64 * 1024

_STREAMS = (LOG_STREAM_STDOUT, LOG_STREAM_STDERR)


@dataclass(frozen=True)
class Slice:
    """What was read."""

    chunks: list[LogChunk]
    #: Whether everything that was there is in it.
    is_whole: bool


def read_output(folder: AttemptFolder, *, cursors: Sequence[LogCursor], has_all_steps: bool, max_bytes: int) -> Slice:
    """Read what lies behind the cursors, up to a number of bytes; a file that is not there is empty.

    Args:
        folder: The attempt.
        cursors: Where to begin, file by file.
        has_all_steps: Also read steps' own files that have no cursor, of the streams that the cursors name.
        max_bytes: The most to return.
    """
    wanted = list(cursors)
    if has_all_steps:
        wanted += _other_steps(folder, cursors)
    chunks: list[LogChunk] = []
    left = max_bytes
    for cursor in wanted:
        read = _read(_path(folder, cursor), cursor, max_bytes=left)
        chunks += read.chunks
        left -= sum(len(chunk.data) for chunk in read.chunks)
        if not read.is_whole:
            return Slice(chunks, is_whole=False)
    return Slice(chunks, is_whole=True)


def read_value(folder: AttemptFolder, digest: str, *, offset: int, max_bytes: int) -> Slice:
    """Read a whole value that was cut out of an event, from an offset on.

    Args:
        folder: The attempt.
        digest: The value's name, one that `is_value_name` accepts.
        offset: Where to begin.
        max_bytes: The most to return.

    Raises:
        FileNotFoundError: No such value is kept.
    """
    path = value_path(folder, digest)
    os.close(open_unfollowed(str(path), os.O_RDONLY))
    read = _read(path, LogCursor(stream=LOG_STREAM_STDOUT, offset=offset), max_bytes=max_bytes)
    for chunk in read.chunks:
        chunk.value_sha256 = digest
    return read


def _other_steps(folder: AttemptFolder, cursors: Sequence[LogCursor]) -> list[LogCursor]:
    known = {(cursor.stream, cursor.step_key) for cursor in cursors}
    streams = {cursor.stream for cursor in cursors}
    return [
        LogCursor(stream=stream, step_key=output.step_key)
        for output in list_step_outputs(folder)
        for stream in _STREAMS
        if stream in streams and (stream, output.step_key) not in known
    ]


def _path(folder: AttemptFolder, cursor: LogCursor) -> Path:
    files = step_output(folder, cursor.step_key) if cursor.step_key else folder
    return files.stdout if cursor.stream == LOG_STREAM_STDOUT else files.stderr


def _read(path: Path, cursor: LogCursor, *, max_bytes: int) -> Slice:
    try:
        file = open(path, "rb", opener=open_unfollowed)  # noqa: SIM115 (closed below)
    except FileNotFoundError:
        return Slice([], is_whole=True)
    with file:
        size, offset = os.fstat(file.fileno()).st_size, cursor.offset
        chunks = []
        if size < offset:
            # Somebody cut the file: what was between is lost, and what is there now is new.
            chunks.append(_truncated(cursor))
            offset = 0
        file.seek(offset)
        until = min(size, offset + max_bytes)
        while offset < until and (data := file.read(min(CHUNK_BYTES, until - offset))):
            chunks.append(_chunk(cursor.stream, cursor.step_key, offset=offset, data=data))
            offset += len(data)
    return Slice(chunks, is_whole=offset >= size)


def _chunk(stream: LogStream.ValueType, step_key: str, *, offset: int, data: bytes) -> LogChunk:
    return LogChunk(stream=stream, step_key=step_key, offset=offset, data=data)


def _truncated(cursor: LogCursor) -> LogChunk:
    gap = LogGap(reason=LogGap.REASON_TRUNCATED, told_until=cursor.offset)
    return LogChunk(stream=cursor.stream, step_key=cursor.step_key, offset=0, gap=gap)
