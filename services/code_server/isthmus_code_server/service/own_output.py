"""Bounds what this server's own processes write to their standard output, where that is a file.

The server does it itself, because nobody else is there for as long as it is: it outlives its agent. In a container the output
is a pipe, and the engine bounds what it keeps of it.
"""

import asyncio
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import Final

from isthmus_lifecycle.boundary import keep_going

from isthmus_code_server.kernel.cut_file import cut_beginning

#: How large the file gets, and how much of its end is left when it is cut, bytes.
MOST_BYTES: Final = 20 * 1024**2
KEPT_BYTES: Final = 10 * 1024**2
#: How often it is looked at, seconds.
_LOOK_INTERVAL_S: Final = 2.0


@dataclass(frozen=True)
class OwnOutput:
    """The file behind standard output and error."""

    fd: int = 1
    most_bytes: int = MOST_BYTES
    kept_bytes: int = KEPT_BYTES
    look_interval_s: float = _LOOK_INTERVAL_S

    async def run(self) -> None:
        """Keep it bounded until cancelled."""
        await keep_going(self._look, name="own output")

    @property
    def is_too_large(self) -> bool:
        """Whether it is a file that is appended to, and has grown beyond its bound."""
        status = os.fstat(self.fd)
        is_appended_to = bool(fcntl.fcntl(self.fd, fcntl.F_GETFL) & os.O_APPEND)
        return stat.S_ISREG(status.st_mode) and is_appended_to and status.st_size > self.most_bytes

    async def _look(self) -> None:
        await asyncio.sleep(self.look_interval_s)
        if self.is_too_large:
            await asyncio.to_thread(cut_beginning, self.fd, kept_bytes=self.kept_bytes)
