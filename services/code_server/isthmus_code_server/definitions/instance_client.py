"""Asks the control plane's store, from any process below the code server and from any of its threads.

Blocking, with a deadline, and without a state that a fork could break: each question has a connection of its own.
"""

import os
import socket
import struct
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from isthmus.v1.instance_pb2 import InstanceAnswer, InstanceQuery, QueryFailure
from isthmus.v1.telemetry_pb2 import RunRef
from isthmus_lifecycle.number import clamped

from isthmus_code_server.definitions.instance_address import ADDRESS_VARIABLE
from isthmus_code_server.errors import InstanceUnavailableError, QueryRefusedError, UnsupportedInstanceCallError

#: Before each message: its length.
FRAME_HEAD: Final = struct.Struct(">I")
MAX_FRAME_BYTES: Final = 256 * 1024**2

#: How long user code waits for an answer, seconds.
ASK_TIMEOUT_S: Final = 10.0
#: How long the framework waits for what it asks for itself and can do without, seconds; the variable names another number.
OPTIONAL_TIMEOUT_S: Final = 1.0
OPTIONAL_TIMEOUT_VARIABLE: Final = "ISTHMUS_OPTIONAL_ANSWER_S"
#: How much longer than the deadline the supervisor is waited for, which keeps the deadline itself, seconds.
MARGIN_S: Final = 1.0


@dataclass(kw_only=True)
class InstanceClient:
    """Asks for one run, or for no run at all."""

    #: The attempt that asks; None for a schedule or a sensor.
    run: RunRef | None = None
    #: How many of the attempt's own events were written: no answer is older than those.
    written: Callable[[], int] = field(default=lambda: 0)

    def ask(self, query: InstanceQuery, *, what: str, is_optional: bool = False) -> InstanceAnswer:
        """Return the answer to a question.

        Args:
            query: The question: its body. The rest is filled in here.
            what: What is asked, for people, as in "the latest materializations of 'orders'".
            is_optional: Whether who asks can do without, and soon wants to.

        Raises:
            InstanceUnavailableError: Nobody answered in time.
            UnsupportedInstanceCallError: The control plane does not know the question.
            QueryRefusedError: The control plane does not answer this.
        """
        query.id = uuid.uuid4().hex
        query.timeout_s = _optional_timeout_s() if is_optional else ASK_TIMEOUT_S
        query.is_optional = is_optional
        if self.run is not None:
            query.run.CopyFrom(self.run)
            query.after_seq = self.written()
        answer = _exchange(query, what=what)
        if answer.HasField("failure"):
            raise _error(answer.failure, what=what)
        return answer


def _optional_timeout_s() -> float:
    with suppress(ValueError):
        said = float(os.environ.get(OPTIONAL_TIMEOUT_VARIABLE, OPTIONAL_TIMEOUT_S))
        return clamped(said, least=0.0, most=ASK_TIMEOUT_S)
    return OPTIONAL_TIMEOUT_S


def _exchange(query: InstanceQuery, *, what: str) -> InstanceAnswer:
    address = os.environ.get(ADDRESS_VARIABLE, "")
    if not address:
        raise InstanceUnavailableError(what, cause="this process was not started by a code server")
    body = query.SerializeToString()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(query.timeout_s + MARGIN_S)
            connection.connect("\0" + address.removeprefix("@"))
            connection.sendall(FRAME_HEAD.pack(len(body)) + body)
            (length,) = FRAME_HEAD.unpack(receive(connection, FRAME_HEAD.size))
            return InstanceAnswer.FromString(receive(connection, length))
    except OSError as error:
        cause = f"the code server does not answer ({error})"
        raise InstanceUnavailableError(what, cause=cause) from error


def receive(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes of a connection.

    Raises:
        OSError: The other side hung up before, or took too long.
    """
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError("the other side hung up")
        data += part
    return bytes(data)


def _error(
    failure: QueryFailure, *, what: str
) -> InstanceUnavailableError | UnsupportedInstanceCallError | QueryRefusedError:
    match failure.kind:
        case QueryFailure.KIND_UNSUPPORTED:
            return UnsupportedInstanceCallError(what, why=failure.message)
        case QueryFailure.KIND_REFUSED:
            return QueryRefusedError(what, cause=failure.message)
        case _:
            return InstanceUnavailableError(what, cause=failure.message)
