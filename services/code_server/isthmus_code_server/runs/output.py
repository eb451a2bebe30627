"""Reads what a run wrote to its standard output and error, from an offset on, to the end or as it grows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import LOG_STREAM_STDERR, LOG_STREAM_STDOUT, LogChunk, LogStream
from isthmus_broker.journal import AttemptFolder

#: The most that one chunk carries, bytes: far below what gRPC takes in a message.
CHUNK_BYTES = 64 * 1024
#: How often a growing file is looked at, seconds.
FOLLOW_INTERVAL_S = 0.2


@dataclass(kw_only=True)
class _Place:
    stream: "LogStream.ValueType"
    path: Path
    offset: int


async def read_output(
    folder: AttemptFolder, *, cursors: Sequence[LogCursor], is_live: Callable[[], bool], follow: bool
) -> AsyncIterator[LogChunk]:
    """Give a run's output in chunks; with `follow` until its process is gone and everything was given.

    Args:
        folder: The attempt.
        cursors: Where to begin, by stream; empty for all of both streams.
        is_live: Tells whether the attempt's process lives.
        follow: Whether to wait for more.
    """
    places = _places(folder, cursors)
    while True:
        # Asked before reading: what was written before the process went is read.
        is_growing = follow and is_live()
        for place in places:
            while chunk := _read(place):
                yield chunk
        if not is_growing:
            return
        await asyncio.sleep(FOLLOW_INTERVAL_S)


def _places(folder: AttemptFolder, cursors: Sequence[LogCursor]) -> list[_Place]:
    paths = {LOG_STREAM_STDOUT: folder.stdout, LOG_STREAM_STDERR: folder.stderr}
    offsets = {cursor.stream: cursor.offset for cursor in cursors} or dict.fromkeys(paths, 0)
    return [
        _Place(stream=stream, path=path, offset=offsets[stream]) for stream, path in paths.items() if stream in offsets
    ]


def _read(place: _Place) -> LogChunk | None:
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset)
            data = file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return None
    if not data:
        return None
    chunk = LogChunk(stream=place.stream, offset=place.offset, data=data)
    place.offset += len(data)
    return chunk
