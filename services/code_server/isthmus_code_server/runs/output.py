"""Gives what a run wrote to its standard output and error, from offsets on, to the end or as it grows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from isthmus.v1.instruction_pb2 import LogCursor
from isthmus.v1.telemetry_pb2 import LogChunk
from isthmus_broker.log_cursors import next_cursors, starting_cursors
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.output import read_output

#: How often growing files are looked at, seconds.
FOLLOW_INTERVAL_S = 0.1
#: The most that is held in memory at once, bytes.
_SLICE_BYTES = 512 * 1024


async def stream_output(
    folder: AttemptFolder, *, cursors: Sequence[LogCursor], is_live: Callable[[], bool], follow: bool
) -> AsyncIterator[LogChunk]:
    """Give a run's output in chunks; with `follow` until its process is gone and everything was given.

    Args:
        folder: The attempt.
        cursors: Where to begin, by file; empty for all of both streams, steps with files of their own included.
        is_live: Tells whether the attempt's process lives.
        follow: Whether to wait for more.
    """
    has_all_steps = all(not cursor.step_key for cursor in cursors)
    places = starting_cursors(cursors)
    while True:  # pauses: while there is more to read, whoever takes it
        # Asked before reading: what was written before the process went is read.
        is_growing = follow and is_live()
        read = read_output(folder, cursors=places, has_all_steps=has_all_steps, max_bytes=_SLICE_BYTES)
        for chunk in read.chunks:
            yield chunk
        places = next_cursors(places, read.chunks)
        if read.is_whole:
            if not is_growing:
                return
            await asyncio.sleep(FOLLOW_INTERVAL_S)
