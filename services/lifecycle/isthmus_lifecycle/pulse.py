"""A service's pulse: a file that its event loop touches while it works, and the check that containers run on it.

A pulse says that the service has started and its loop turns. A broker or database that is away is waited for and told of in
the log: starting the service again would not bring it back, so it is no reason to call the service ill.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: Names the file. Without it there is no pulse.
VARIABLE = "ISTHMUS_PULSE_FILE"
#: Between two beats, seconds.
_BEAT_S = 2.0
#: A pulse older than this is none, seconds: many beats, for machines that are busy.
_STALE_AFTER_S = 20.0


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
    # The check, which is run every few seconds, has no need of it.
    from isthmus_lifecycle import log

    log.get_logger(__name__).warning("pulse_not_written", file=str(file), problem=error.strerror or str(error))


def fault_of(file: Path) -> str:
    """Say what is wrong with a pulse; nothing when it is well."""
    try:
        age_s = time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return "it has not started yet, or has ended"
    return f"its last sign of life is {age_s:.0f} s old" if age_s > _STALE_AFTER_S else ""


def main() -> int:
    """Check the pulse: the exit code is 1, and the reason is printed, when there is none."""
    named = os.environ.get(VARIABLE)
    fault = fault_of(Path(named)) if named else f"{VARIABLE} is not set"
    sys.stdout.write(fault)
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main())
