"""An attempt's journal: the events of a run, on disk, from the moment its process says them.

The run's process appends, its code server reads and publishes. So the journal is also the spool: while the broker is
away the file grows and nothing else happens, and what a dead code server left behind can be published by its agent. The
number of a record is the event's `seq`, which makes a second publication harmless.

Records are a length (4 bytes, big-endian) and an `Event`. A record is appended under a lock on the file, so several processes
of one run may write, and whoever cannot write a record whole, because the disk is full, takes its part back. A torn last
record (its writer was killed in the middle) is left alone by readers and cut off by `repair`; bytes that are no record are
cut off by it as well, with whatever follows them.
This module is used in forked children: it imports nothing that starts threads or event loops.
"""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
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


#: What ends an attempt.
_TERMINAL = frozenset({"run_succeeded", "run_failed", "run_canceled"})


def is_terminal(event: Event) -> bool:
    """Tell whether an event ends its attempt."""
    return event.WhichOneof("body") in _TERMINAL


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
            OSError: The disk is full or gone; nothing of the event is in the journal, and the next one may be appended.
        """
        body = bounded(event, keep=self._values.keep)
        # Locked by process: a child that user code forked off shares the descriptor.
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            self._write_whole(_LENGTH.pack(len(body)) + body)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)
        if self._doorbell_fd is not None:
            # A full pipe has rung already; a closed one has nobody to hear, and the journal is what counts.
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._doorbell_fd, b"\0")

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write_whole(self, record: bytes) -> None:
        written = 0
        try:
            while written < len(record):
                written += os.write(self._fd, record[written:] if written else record)
        except OSError:
            if written:
                # A part of a record would hide all that comes after it. Nobody else has written since: we hold the lock.
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise


@dataclass(frozen=True)
class JournalSlice:
    """Some records of a journal, and where the next ones begin."""

    events: tuple[Event, ...]
    offset: int
    #: The number of the last record before `offset`.
    seq: int
    #: Whether the next one is one before which was to be stopped.
    is_stopped: bool = False


class JournalReader:
    """Reads a journal that may still be growing."""

    def __init__(self, path: Path, *, offset: int = 0, seq: int = 0) -> None:
        """Read from `offset`, which is where record `seq` ends."""
        self._path = path
        self.offset = offset
        self.seq = seq

    def read(
        self, *, max_events: int = 500, max_bytes: int = 262_144, until: Callable[[Event], bool] | None = None
    ) -> JournalSlice:
        """Return complete records from here on, at least one if there is one, and stay where we are; see `advance`.

        Args:
            max_events: The most to return.
            max_bytes: How much to read at a time; a single record may be larger.
            until: Tells of an event whether to stop before it.

        Raises:
            JournalError: The next bytes are no record. What is whole before them is returned first.
        """
        data = self._read_bytes(max_bytes)
        events: list[Event] = []
        position, is_stopped = 0, False
        for start, end in _records(data):
            if len(events) == max_events:
                break
            try:
                event = self._decode(data[start:end], at=self.offset + position, seq=self.seq + len(events) + 1)
            except JournalError:
                if not events:
                    raise
                break
            if until is not None and until(event):
                is_stopped = True
                break
            events.append(event)
            position = end
        return JournalSlice(tuple(events), self.offset + position, self.seq + len(events), is_stopped)

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


@dataclass(frozen=True)
class Repair:
    """What was found, and done, at the end of a journal."""

    #: How many bytes were cut off: a torn record, or damage and all that follows it.
    cut_bytes: int = 0
    #: What is wrong with the bytes that were cut off; empty for a record that is only torn.
    damage: str = ""
    #: The last event that is left; None when none is left behind the offset from which was looked.
    last: Event | None = None


def repair(path: Path, *, offset: int = 0) -> Repair:
    """Cut off what is no whole record, so that the next append is readable; `offset` is any place between two records.

    Only for a journal whose writers are gone.

    Raises:
        OSError: The disk is gone.
    """
    reader = JournalReader(path, offset=offset)
    last: Event | None = None
    damage = ""
    try:
        while (part := reader.read()).events:
            last = part.events[-1]
            reader.advance(part)
    except JournalError as error:
        damage = error.problem
    with suppress(FileNotFoundError), open(path, "r+b", opener=open_unfollowed) as file:
        size = os.fstat(file.fileno()).st_size
        file.truncate(min(reader.offset, size))
        return Repair(size - min(reader.offset, size), damage, last)
    return Repair()


def _records(data: bytes) -> Iterator[tuple[int, int]]:
    """Give the bounds of each complete record's body."""
    position = 0
    while len(data) - position >= _LENGTH.size:
        start = position + _LENGTH.size
        position = start + _LENGTH.unpack_from(data, position)[0]
        if position > len(data):
            return
        yield start, position
