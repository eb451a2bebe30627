"""The way of what a process beside the run's, as a notebook's, logs of the run: to the process of the step that started it."""

import os
import socket
import struct
import threading
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress

from dagster._core.events.log import EventLogEntry
from dagster._serdes import deserialize_value, serialize_value

from isthmus_code_server.definitions.instance_client import FRAME_HEAD, MAX_FRAME_BYTES, receive

#: How long an entry may take to be sent and taken, seconds: the step's process may be busy.
_TIMEOUT_S = 30.0
_TAKEN = b"\1"
#: Linux's struct ucred: the process, user and group at the other end of a unix socket.
_CREDENTIALS = struct.Struct("3i")


class EntryListener:
    """Takes entries that other processes of the same user hand in, one connection for each."""

    def __init__(self, take: Callable[[EventLogEntry], None]) -> None:
        self._take = take
        self._lock = threading.Lock()
        #: The process that listens, and where: a fork takes over neither thread nor socket.
        self._listening: tuple[int, str] = (0, "")

    def address(self) -> str:
        """Return where this process takes entries; it does so from the first call on."""
        with self._lock:
            if self._listening[0] != os.getpid():
                self._listening = (os.getpid(), self._listen())
            return self._listening[1]

    def _listen(self) -> str:
        # Without a file: the name goes with the process.
        name = f"isthmus-entries-{uuid.uuid4().hex}"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"\0{name}")
        listener.listen()
        threading.Thread(target=self._serve, args=(listener,), name="isthmus entries", daemon=True).start()
        return name

    def _serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    self._serve_one(connection)
                except Exception:  # noqa: BLE001  # what one process sends must not cost the others their listener
                    traceback.print_exc()

    def _serve_one(self, connection: socket.socket) -> None:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(raw)[1] != os.getuid():
            return
        connection.settimeout(_TIMEOUT_S)
        (length,) = FRAME_HEAD.unpack(receive(connection, FRAME_HEAD.size))
        if length <= MAX_FRAME_BYTES:
            self._take(deserialize_value(receive(connection, length).decode(), EventLogEntry))
            connection.sendall(_TAKEN)


def hand_in(entry: EventLogEntry, *, address: str) -> bool:
    """Hand an entry to the process that listens at an address; False when it did not take it."""
    body = serialize_value(entry).encode()
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(f"\0{address}")
        connection.sendall(FRAME_HEAD.pack(len(body)) + body)
        return receive(connection, len(_TAKEN)) == _TAKEN
    return False
