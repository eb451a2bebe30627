"""Looks after the disk of the private broker, which takes no message while that is nearly full: all else waits for it."""

import asyncio
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus_dev.errors import DiskFullError
from isthmus_dev.rabbitmq.layout import DISK_LIMIT_BYTES
from isthmus_dev.screen import Screen

_INTERVAL_S = 1.0


def check_disk(folder: Path) -> None:
    """Find out now, not by a start that never ends, that there is too little room.

    Raises:
        DiskFullError: The broker would take no message.
    """
    free = shutil.disk_usage(folder).free
    if free < DISK_LIMIT_BYTES:
        raise DiskFullError(folder, free_bytes=free, limit_bytes=DISK_LIMIT_BYTES)


@dataclass
class DiskWatch:
    """Tells that the disk became too full, and that it has room again; each once."""

    folder: Path
    screen: Screen
    _is_short: bool = False

    async def run(self) -> None:
        """Look again and again."""
        while True:
            # A folder that somebody removes is for others to tell of.
            with suppress(OSError):
                self._look(shutil.disk_usage(self.folder).free)
            await asyncio.sleep(_INTERVAL_S)

    def _look(self, free: int) -> None:
        is_short = free < DISK_LIMIT_BYTES
        if is_short == self._is_short:
            return
        self._is_short = is_short
        mark = self.screen.paint.red("!") if is_short else self.screen.paint.green("✓")
        self.screen.say(f"{mark} {shortage_text(self.folder, free) if is_short else f'{self.folder} has room again'}")


def shortage_text(folder: Path, free: int) -> str:
    """Tell of a disk that is too full while everything runs."""
    limit, left = DISK_LIMIT_BYTES // 1_000_000, free // 1_000_000
    return f"The disk of {folder} is full ({left} MB free): everything waits until {limit} MB are. Make room there."
