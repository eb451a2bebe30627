"""Cuts the beginning off a file to which processes append meanwhile."""

import ctypes
import os
from pathlib import Path
from typing import Final

_libc = ctypes.CDLL(None, use_errno=True)

#: Of Linux' fallocate: takes a range out of a file, so that what is behind it moves to its place.
_COLLAPSE_RANGE: Final = 0x08


def cut_beginning(fd: int, *, kept_bytes: int) -> None:
    """Keep about the last bytes of a file that is open for appending; what is appended meanwhile is kept, too.

    File systems that cannot take out a range (ext4 and XFS can) write the end anew: what is appended in that moment may come
    before it, or be lost.

    Raises:
        OSError: The file cannot be cut.
    """
    status = os.fstat(fd)
    block = status.st_blksize
    surplus = (status.st_size - kept_bytes) // block * block
    if surplus <= 0:
        return
    if _libc.fallocate(fd, _COLLAPSE_RANGE, ctypes.c_int64(0), ctypes.c_int64(surplus)) != 0:
        _write_anew(fd, surplus=surplus)


def _write_anew(fd: int, *, surplus: int) -> None:
    # It is open for writing alone; by the kernel's own name for it, it can be read, whatever became of its path.
    with Path(f"/proc/self/fd/{fd}").open("rb") as file:
        file.seek(surplus)
        end = file.read()
    os.ftruncate(fd, 0)
    while end:
        end = end[os.write(fd, end) :]
