"""A service's pulse: a file that its event loop touches while it works, and whose age the images' health check looks at.

A pulse says that the service has started and its loop turns. A broker or database that is away is waited for and told of in
the log: starting the service again would not bring it back, so it is no reason to call the service ill.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isthmus_lifecycle import log

#: Names the file. Without it there is no pulse.
VARIABLE = "ISTHMUS_PULSE_FILE"
#: Between two beats, seconds.
_BEAT_S = 2.0


@contextmanager
def beating(started: asyncio.Event, *, beat_s: float = _BEAT_S) -> Iterator[None]:
    """Touch the file that the environment names, again and again from `started` on, while the block runs.

    The beats are callbacks of the running loop: a loop that is blocked misses them. A file that cannot be written is told of
    once, and tried again at each beat.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        yield
        return
    loop, file = asyncio.get_running_loop(), Path(named)
    timer: asyncio.Handle
    is_well = True

    def beat() -> None:
        nonlocal timer, is_well
        timer = loop.call_later(beat_s, beat)
        if not started.is_set():
            return
        try:
            file.touch()
        except OSError as error:
            if is_well:
                _complain(file, error)
            is_well = False
        else:
            is_well = True

    timer = loop.call_soon(beat)
    try:
        yield
    finally:
        timer.cancel()
        with suppress(OSError):
            file.unlink(missing_ok=True)


def _complain(file: Path, error: OSError) -> None:
    log.get_logger(__name__).warning("pulse_not_written", file=str(file), problem=error.strerror or str(error))
