"""An attempt's journal: the events of a run, on disk, from the moment its process says them.

The run's process appends, its code server reads and publishes. So the journal is also the spool: while the broker is
away the file grows and nothing else happens, and what a dead code server left behind can be published by its agent. The
number of a record is the event's `seq`, which makes a second publication harmless.

Records are a length (4 bytes, big-endian) and an `Event`. A record is written by one append, so several processes of one
run may write; a torn last record (the writer died in the middle) is left alone by readers and cut off by `repair`.
This module is used in forked children: it imports nothing that starts threads or event loops.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from isthmus.v1.telemetry_pb2 import Event

from isthmus_spool.bounded import bounded
from isthmus_spool.errors import JournalError
from isthmus_spool.unfollowed import open_unfollowed
from isthmus_spool.values import ValueKeeper

_LENGTH = struct.Struct(">I")
#: No record is larger than this, bytes: a length beyond it means that the bytes are no journal. Writers keep far below it
#: (`bounded.MAX_EVENT_BYTES`); older ones did not.
MAX_RECORD_BYTES = 64 * 1024**2


class JournalWriter:
    """Appends events to a journal and rings the reader's doorbell."""

    def __init__(self, path: Path, *, doorbell_fd: int | None = None) -> None:
        """Open the journal, making it if need be; `doorbell_fd` is a non-blocking pipe's end, which stays the caller's.

        Raises:
            OSError: the file cannot be opened.
        """
        self._fd = open_unfollowed(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._doorbell_fd = doorbell_fd
        self._values = ValueKeeper(path.parent)

    def append(self, event: Event) -> None:
        """Append one event, cut to what an event may be. Its `seq` is left out: the place in the journal says it.

        Raises:
            OSError: the disk is full or gone.
        """
        body = bounded(event, keep=self._values.keep)
        record = memoryview(_LENGTH.pack(len(body)) + body)
        while record:
            record = record[os.write(self._fd, record) :]
        if self._doorbell_fd is not None:
            # A full pipe has rung already; a closed one has nobody to hear, and the journal is what counts.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._doorbell_fd, b"\0")

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@dataclass(frozen=True)
class JournalSlice:
    """Some records of a journal, and where the next ones begin."""

    events: tuple[Event, ...]
    offset: int
    #: The number of the last record before `offset`.
    seq: int


class JournalReader:
    """Reads a journal that may still be growing."""

    def __init__(self, path: Path, *, offset: int = 0, seq: int = 0) -> None:
        """Read from `offset`, which is where record `seq` ends."""
        self._path = path
        self.offset = offset
        self.seq = seq

    def read(self, *, max_events: int = 500, max_bytes: int = 262_144) -> JournalSlice:
        """Return complete records from here on, at least one if there is one, and stay where we are; see `advance`.

        Raises:
            JournalError: the bytes are no journal.
        """
        data = self._read_bytes(max_bytes)
        events: list[Event] = []
        position = 0
        for start, end in _records(data):
            if len(events) == max_events:
                break
            events.append(self._decode(data[start:end], at=self.offset + position, seq=self.seq + len(events) + 1))
            position = end
        return JournalSlice(tuple(events), self.offset + position, self.seq + len(events))

    def advance(self, to: JournalSlice) -> None:
        """Go on behind a slice."""
        self.offset, self.seq = to.offset, to.seq

    def _read_bytes(self, max_bytes: int) -> bytes:
        try:
            with open(self._path, "rb", opener=open_unfollowed) as file:
                file.seek(self.offset)
                data = file.read(max_bytes)
                # One record may be larger than what we like to read at a time.
                if len(data) >= _LENGTH.size:
                    size = _LENGTH.size + self._checked_length(data)
                    if size > len(data):
                        data += file.read(size - len(data))
                return data
        except FileNotFoundError:
            return b""

    def _checked_length(self, data: bytes) -> int:
        length: int = _LENGTH.unpack_from(data)[0]
        if length > MAX_RECORD_BYTES:
            raise JournalError(path=str(self._path), offset=self.offset, problem=f"a record of {length} bytes")
        return length

    def _decode(self, body: bytes, *, at: int, seq: int) -> Event:
        try:
            event = Event.FromString(body)
        except DecodeError as error:
            raise JournalError(path=str(self._path), offset=at, problem=f"record {seq} is no event") from error
        event.seq = seq
        return event


def repair(path: Path, *, offset: int = 0) -> None:
    """Cut off a torn last record, so that the next append is readable; `offset` is any place between two records.

    Only for a journal whose writers are gone.
    """
    with suppress(FileNotFoundError), open(path, "r+b", opener=open_unfollowed) as file:
        file.seek(offset)
        end = max((end for _, end in _records(file.read())), default=0)
        file.truncate(offset + end)


def _records(data: bytes) -> Iterator[tuple[int, int]]:
    """Give the bounds of each complete record's body."""
    position = 0
    while len(data) - position >= _LENGTH.size:
        start = position + _LENGTH.size
        position = start + _LENGTH.unpack_from(data, position)[0]
        if position > len(data):
            return
        yield start, position
