"""One file of the intake's journal: records are appended to it, and the whole of it is removed when nothing in it counts."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.plain_file import open_plain, read_plain

from isthmus_agent.intake.record import Record, unpack

log = get_logger(__name__)

_SUFFIX: Final = ".journal"


@dataclass
class Segment:
    """A file of records."""

    path: Path
    #: Where the next record goes.
    size: int = 0
    #: The numbers of the instructions in it that are not forgotten, and where their payloads end.
    living: dict[int, int] = field(default_factory=dict)
    #: Whether nothing may be appended any more.
    is_sealed: bool = False
    _fd: int = -1
    #: Whether a machine that loses power would find the file again.
    _is_found: bool = False

    @classmethod
    def numbered(cls, folder: Path, number: int) -> "Segment":
        """Name the segment of that number; later ones have greater numbers."""
        return cls(folder / f"{number:016d}{_SUFFIX}")

    @property
    def number(self) -> int:
        """Its place among the segments."""
        return int(self.path.stem)

    def append(self, record: bytes) -> int:
        """Append a record, and return where it ends.

        Raises:
            OSError: The disk is full or gone; nothing of the record is in the file, and the next one may be appended.
        """
        if self._fd < 0:
            self._fd = open_plain(str(self.path), os.O_RDWR | os.O_CREAT)
        written = 0
        try:
            while written < len(record):
                written += os.pwrite(self._fd, record[written:] if written else record, self.size + written)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)
            raise
        self.size += len(record)
        return self.size

    def read(self, *, length: int, end: int) -> bytes:
        """Return the bytes before a place.

        Raises:
            OSError: The file cannot be read.
        """
        if self._fd >= 0:
            return os.pread(self._fd, length, end - length)
        with open(self.path, "rb", opener=open_plain) as file:
            file.seek(end - length)
            return file.read(length)

    def load(self) -> Iterator[Record]:
        """Give the records that an earlier life wrote, and cut off what it did not write whole.

        Raises:
            OSError: The file cannot be read.
        """
        data = read_plain(self.path)
        for found in unpack(data):
            self.size = found.end
            if isinstance(found, Record):
                yield found
            else:
                # The control plane ends what is never answered.
                log.error("taken_instruction_unreadable", path=str(self.path), offset=found.start)
        if self.size < len(data):
            log.warning("intake_torn", path=str(self.path), offset=self.size, cut_bytes=len(data) - self.size)
            os.truncate(self.path, self.size)

    def sync(self) -> None:
        """Bring to the disk what was appended; may be called in a thread.

        Raises:
            OSError: The disk does not take it.
        """
        if (fd := self._fd) < 0:
            return
        try:
            os.fdatasync(fd)
            if not self._is_found:
                _sync_folder(self.path.parent)
                self._is_found = True
        except OSError:
            # One that was closed meanwhile was brought there before.
            if self._fd >= 0:
                raise

    def seal(self) -> None:
        """Append nothing any more: it is not known what the file holds."""
        self.is_sealed = True

    def close(self) -> None:
        """Close the file, which was synced or need not be; it may be read all the same."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def remove(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def segments_in(folder: Path) -> list[Segment]:
    """Return the segments of a folder, the oldest first."""
    paths = (path for path in folder.iterdir() if path.suffix == _SUFFIX and path.stem.isdecimal())
    return sorted((Segment(path) for path in paths), key=lambda segment: segment.number)
