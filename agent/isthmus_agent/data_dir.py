"""The agent's folder: used by one agent at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus_agent.errors import DataFolderInUseError


@contextmanager
def claimed(folder: Path) -> Iterator[Path]:
    """Make the folder, and keep every other agent out of it for as long as this one lives.

    Raises:
        DataFolderInUseError: another agent works in it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "agent.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderInUseError(path=str(folder)) from error
        yield folder.resolve()
