"""The agent's folder: used by one agent at a time."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from isthmus_lifecycle.private import private_folder

from isthmus_agent.errors import DataFolderInUseError

#: How long a folder may be held by what is left of an agent that was killed: a process that it was about to start has its
#: files until it executes its program. Seconds.
_PATIENCE_S = 2.0
_PAUSE_S = 0.05


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Make the folder, for this user alone, and keep every other agent out of it for as long as this one lives.

    Raises:
        DataFolderInUseError: another agent works in it.
    """
    private_folder(folder)
    with (folder / "agent.lock").open("w") as lock:
        _lock(lock, folder=folder)
        yield folder.resolve()


def _lock(file: TextIO, *, folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise DataFolderInUseError(path=str(folder)) from error
            # Nothing runs yet that could be held up.
            time.sleep(_PAUSE_S)
        else:
            return
