"""What belongs to this process's user alone: folders and files that nobody else may look into."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600


def private_folder(path: Path) -> Path:
    """Make a folder that its user alone can enter, before anything is made in it; one that is there is closed to others.

    A folder of another user is left as it is. Raises OSError when it cannot be made.
    """
    path.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    _close(path, mode=_FOLDER_MODE)
    return path


def private_file(path: Path) -> None:
    """Make an empty file that its user alone can read; one that is there is closed to others. Raises OSError."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))
    _close(path, mode=_FILE_MODE)


def _close(path: Path, *, mode: int) -> None:
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & ~mode and found.st_uid == os.geteuid():
        path.chmod(mode)
