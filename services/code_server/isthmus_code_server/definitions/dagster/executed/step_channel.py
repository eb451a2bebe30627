"""What a step's process tells the run's process: frames over a socket pair, the run's end never blocking."""

import pickle
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from typing import Any

from isthmus.v1.telemetry_pb2 import Event

_HEAD = struct.Struct(">IB")
_WRITTEN = struct.Struct(">Q")
_READ_BYTES = 256 * 1024


class StepFrame(IntEnum):
    """What a step's process says."""

    #: An Event for the journal.
    EVENT = 1
    #: A pickled DagsterEvent that moves the plan on: an output, a success, a failure, a retry.
    VERDICT = 2
    #: The step's process did all that it was to do.
    DONE = 3
    #: A pickled account of an exception that left the step's process without a verdict.
    ERROR = 4
    #: A question: how many of the run's events are in its journal, with all that was told before. Answered at once.
    SYNC = 5


class StepSpeaker:
    """The step's end. Any thread of the step may speak: a frame is sent whole."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lock = threading.Lock()

    def event(self, event: Event) -> None:
        """Send an event on its way to the journal."""
        self._send(StepFrame.EVENT, event.SerializeToString())

    def verdict(self, event: object) -> None:
        """Send what moves the plan on."""
        self._send(StepFrame.VERDICT, pickle.dumps(event))

    def done(self) -> None:
        """Say that nothing follows."""
        self._send(StepFrame.DONE, b"")

    def error(self, error_info: object) -> None:
        """Say that an exception got out, and that nothing follows."""
        self._send(StepFrame.ERROR, pickle.dumps(error_info))

    def synced(self) -> int:
        """Wait until all that was told is in the journal; return how many events the run has there."""
        with self._lock:
            self._channel.sendall(_HEAD.pack(0, StepFrame.SYNC))
            written: int = _WRITTEN.unpack(self._channel.recv(_WRITTEN.size, socket.MSG_WAITALL))[0]
        return written

    def _send(self, kind: StepFrame, payload: bytes) -> None:
        with self._lock:
            self._channel.sendall(_HEAD.pack(len(payload), kind) + payload)


class StepHearer:
    """The run's end."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel = channel
        self._buffer = bytearray()
        self.has_ended = False

    def tell_written(self, written: int) -> None:
        """Answer a SYNC; a process that has gone meanwhile needs no answer."""
        with suppress(OSError):
            self._channel.send(_WRITTEN.pack(written))

    def hear(self) -> Iterator[tuple[StepFrame, bytes]]:
        """Give the frames that have come; at the end of the stream, `has_ended` is set."""
        while self._read():
            yield from self._frames()
        yield from self._frames()

    def _read(self) -> bool:
        """Read once; False when nothing is there at the moment."""
        try:
            data = self._channel.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        self._buffer += data
        self.has_ended = self.has_ended or not data
        return bool(data)

    def _frames(self) -> Iterator[tuple[StepFrame, bytes]]:
        position = 0
        while len(self._buffer) - position >= _HEAD.size:
            length, kind = _HEAD.unpack_from(self._buffer, position)
            start = position + _HEAD.size
            if len(self._buffer) < start + length:
                break
            position = start + length
            yield StepFrame(kind), bytes(self._buffer[start:position])
        del self._buffer[:position]


def unpickled(payload: bytes) -> Any:
    """Read what a process forked off this very one has pickled."""
    return pickle.loads(payload)  # noqa: S301  # it comes from our own child
