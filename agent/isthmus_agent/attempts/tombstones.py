"""Attempts that must never start: someone ended them before their launch arrived."""

import os
import time
from contextlib import suppress
from pathlib import Path

from isthmus_agent.run_key import RunKey

#: A launch may be delivered after the request for its end for as long as it may wait in the queue; longer than any does.
MINIMUM_LIFE_S = 86_400.0
#: No launch may wait for longer, whatever deadline it came with; a file's time has bounds, too.
MAXIMUM_LIFE_S = 30 * MINIMUM_LIFE_S


class Tombstones:
    """One empty file per attempt; its time of modification is when it may be forgotten."""

    def __init__(self, folder: Path) -> None:
        """Keep them in `folder`."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def add(self, key: RunKey, *, not_before: float) -> None:
        """Refuse the attempt from now on, at least until `not_before` (seconds since the epoch)."""
        path = self._folder / str(key)
        path.touch(mode=0o600)
        now = time.time()
        until = min(max(not_before, now + MINIMUM_LIFE_S), now + MAXIMUM_LIFE_S)
        os.utime(path, (until, until))

    def has(self, key: RunKey) -> bool:
        """Whether the attempt must not start."""
        return (self._folder / str(key)).exists()

    def sweep(self) -> None:
        """Forget those whose time has passed."""
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                # One that cannot be removed keeps no other.
                with suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < now:
                        Path(entry.path).unlink()
