"""Files that a process keeps for itself.

Whatever lies in the place of one, a pipe, a link or a folder, keeps nobody waiting and leads nobody elsewhere: it is no file,
and makes way for one.
"""

import errno
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_MODE: Final = 0o600
#: A pipe must not make us wait for its other end.
_CAREFULLY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: What opening says of a link, of a pipe that nobody reads, and of a folder.
_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR})


def open_plain(path: str, flags: int) -> int:
    """Open a file, as an `opener` of `open`; one that is made is for this user alone.

    Raises:
        FileNotFoundError: It is not there, or there is anything but a file in its place.
        OSError: It cannot be opened.
    """
    try:
        fd = os.open(path, flags | _CAREFULLY, _MODE)
    except OSError as error:
        if error.errno in _NO_FILE:
            raise _missing(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise _missing(path)
    return fd


def read_plain(path: Path) -> bytes:
    """Return what a file holds. Raises what `open_plain` raises."""
    with open(path, "rb", opener=open_plain) as file:
        return file.read()


def replace_plain(path: Path, data: bytes, *, is_synced: bool = False) -> None:
    """Make a file hold this, whole or not at all; with `is_synced` it is on the disk when this returns.

    Raises:
        OSError: The disk is full or gone; the file is as it was.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        fd = open_plain(str(draft), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    except FileNotFoundError:
        make_way(draft)
        fd = open_plain(str(draft), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        if is_synced:
            file.flush()
            os.fsync(fd)
    try:
        draft.replace(path)
    except IsADirectoryError:
        make_way(path)
        draft.replace(path)


def make_way(path: Path) -> None:
    """Remove what is in a file's place and is none; a file stays. Raises OSError when it cannot be removed."""
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            shutil.rmtree(path)
        elif not stat.S_ISREG(mode):
            path.unlink()


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
