"""A question to the control plane that somebody has asked and does not stand and wait for: its answer is heard as it comes."""

import os
import socket
import time

from google.protobuf.message import DecodeError
from isthmus.v1.instance_pb2 import InstanceAnswer, InstanceQuery, QueryFailure

from isthmus_code_server.definitions.instance_address import ADDRESS_VARIABLE
from isthmus_code_server.definitions.instance_client import FRAME_HEAD, MARGIN_S

#: How long the code server may take to take a question, seconds.
_SEND_TIMEOUT_S = 5.0
_PIECE_BYTES = 65_536


class OpenQuestion:
    """A question under way. Whoever asked it looks at `fileno` until it is readable, and hears."""

    def __init__(self, query: InstanceQuery) -> None:
        """Ask: the query is complete.

        Raises:
            OSError: The code server does not take it.
        """
        address = os.environ.get(ADDRESS_VARIABLE, "")
        if not address:
            raise ConnectionError("this process was not started by a code server")
        self._id = query.id
        self._received = bytearray()
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.settimeout(_SEND_TIMEOUT_S)
        try:
            self._connection.connect("\0" + address.removeprefix("@"))
            body = query.SerializeToString()
            self._connection.sendall(FRAME_HEAD.pack(len(body)) + body)
        except BaseException:
            self._connection.close()
            raise
        self._connection.setblocking(False)
        self.asked_at = time.monotonic()
        self._ends_at = self.asked_at + query.timeout_s + MARGIN_S

    def fileno(self) -> int:
        """Return what becomes readable when there is something to hear."""
        return self._connection.fileno()

    @property
    def left_s(self) -> float:
        """How long it is worth waiting yet, seconds."""
        return max(self._ends_at - time.monotonic(), 0.0)

    def hear(self) -> InstanceAnswer | None:
        """Return the answer once it is whole; None before. A question that nobody answers ends with a failure."""
        try:
            while piece := self._connection.recv(_PIECE_BYTES):
                self._received += piece
            return self._whole() or self._failure("the code server hung up")
        except BlockingIOError:
            return self._whole() or (self._failure("nobody answered in time") if not self.left_s else None)
        except OSError as error:
            return self._failure(f"the code server does not answer ({error})")

    def close(self) -> None:
        """Take no answer any more."""
        self._connection.close()

    def _whole(self) -> InstanceAnswer | None:
        if len(self._received) < FRAME_HEAD.size:
            return None
        (length,) = FRAME_HEAD.unpack_from(self._received)
        body = bytes(self._received[FRAME_HEAD.size :])
        if len(body) < length:
            return None
        try:
            return InstanceAnswer.FromString(body)
        except DecodeError as error:
            return self._failure(f"its answer cannot be read ({error})")

    def _failure(self, text: str) -> InstanceAnswer:
        failure = QueryFailure(kind=QueryFailure.KIND_UNAVAILABLE, message=text)
        return InstanceAnswer(query_id=self._id, failure=failure)
