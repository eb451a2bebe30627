"""The whole values that were cut out of an attempt's events: a file each, named by the SHA-256 of its bytes.

Used in forked children: imports nothing that starts threads or event loops.
"""

import errno
import os
import re
from pathlib import Path
from typing import Final

from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.unfollowed import open_unfollowed

#: The most that one process keeps of the values that it cuts, bytes: a run that says nothing but large values must not
#: fill the disk with what nobody may ever ask for.
MAX_KEPT_BYTES: Final = 1024**3
_FOLDER: Final = "values"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ValueKeeper:
    """Keeps values beside a journal."""

    def __init__(self, attempt_path: Path, *, max_bytes: int = MAX_KEPT_BYTES) -> None:
        """Keep up to `max_bytes` in the folder of an attempt."""
        self._place = attempt_path / _FOLDER
        self._left = max_bytes

    def keep(self, digest: str, data: bytes) -> None:
        """Write a value down; one that is there is not written again.

        Raises:
            OSError: The disk is full or gone, or this process has kept as much as it may.
        """
        path = self._place / digest
        if path.exists():
            return
        if len(data) > self._left:
            raise OSError(errno.EDQUOT, "the run has kept as much as it may")
        self._place.mkdir(mode=0o700, exist_ok=True)
        part = path.with_suffix(".part")
        try:
            _write(part, data)
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._left -= len(data)


def is_value_name(digest: str) -> bool:
    """Tell whether a text is the name that a value could have."""
    return _SHA256.fullmatch(digest) is not None


def value_path(folder: AttemptFolder, digest: str) -> Path:
    """Return where a value lies; it need not be there. The name must be one that `is_value_name` accepts."""
    return folder.path / _FOLDER / digest


def _write(path: Path, data: bytes) -> None:
    fd = open_unfollowed(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)
