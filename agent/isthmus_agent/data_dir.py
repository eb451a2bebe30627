"""The agent's folder: used by one agent at a time."""

import fcntl
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.plain_file import read_plain, replace_plain
from isthmus_lifecycle.private import private_folder

from isthmus_agent.errors import DataFolderInUseError

log = get_logger(__name__)

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


def folder_id(folder: Path) -> str:
    """Return the folder's own id, made at its first use; empty where it can be neither read nor written now.

    By another id the control plane sees that whatever an agent of the name had taken from its queue is not known any more.
    """
    path = folder / "folder-id"
    try:
        with suppress(FileNotFoundError):
            return read_plain(path).decode(errors="replace")
        replace_plain(path, uuid.uuid4().hex.encode())
        return read_plain(path).decode()
    except OSError as error:
        log.warning("folder_without_id", path=str(path), error=str(error))
        return ""


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
