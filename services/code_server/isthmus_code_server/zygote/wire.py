"""The bytes that supervisor, zygote and children exchange over unix sockets; no I/O of its own."""

import json
import os
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum, StrEnum

from isthmus_code_server.definitions.source import DefinitionsSource

#: A frame's head: the length of what follows it, and its kind.
HEAD = struct.Struct(">IB")


class FrameKind(IntEnum):
    """What a frame is."""

    # Supervisor to zygote.
    LOAD = 1
    #: Carries one file descriptor: the child's end of its own channel.
    FORK = 2
    # Zygote to supervisor.
    #: A StartChoice: how children come about, and why. Sent before LOADED.
    START = 10
    #: A DescribeResponse: the snapshot, or why there is none.
    LOADED = 11
    FORKED = 12
    EXITED = 13
    # Supervisor to child, as the first frame of its channel.
    START_RUN = 20
    VALIDATE = 21
    SCHEDULE = 22
    SENSOR = 23
    # Run to the process of one of its steps, where that is not forked.
    STEP = 24
    # Child to supervisor, the only frame of its channel; after it come single bytes.
    ANSWER = 30


#: The largest answer of a child, bytes: as much as gRPC takes in a message.
MAX_ANSWER_BYTES = 64 * 1024**2
#: After its answer a run's child sends single bytes: the journal's zero byte when it has grown, and, when it cannot be
#: written any more, the error's number above this one.
_FAULT = 100
#: The last of these bytes, if it comes: the end is in the journal, and nothing of the run is left but the child, which ends.
LAST_WORD = b"\1"

_FORK = struct.Struct(">Q?")
_FORKED = struct.Struct(">Qi")
_EXITED = struct.Struct(">QiiI")

#: The size of a FORK frame: it is read together with its file descriptor, in one call.
FORK_FRAME_SIZE = HEAD.size + _FORK.size


def frame(kind: FrameKind, payload: bytes = b"") -> bytes:
    """Write a frame."""
    return HEAD.pack(len(payload), kind) + payload


def read_head(head: bytes) -> tuple[int, FrameKind]:
    """Read a frame's head: the payload's length, and the kind."""
    length, kind = HEAD.unpack(head)
    return length, FrameKind(kind)


class StartMethod(StrEnum):
    """How children get their processes."""

    #: Found out by the zygote, once the project is imported.
    AUTO = "auto"
    FORK = "fork"
    SPAWN = "spawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class StartChoice:
    """How children get their processes, and why so."""

    #: Not AUTO.
    method: StartMethod
    #: A clause for people.
    why: str

    def encode(self) -> bytes:
        """Write the payload of a START frame."""
        return f"{self.method}\n{self.why}".encode()

    @classmethod
    def decode(cls, payload: bytes) -> "StartChoice":
        """Read the payload of a START frame."""
        method, _, why = payload.decode(errors="replace").partition("\n")
        return cls(method=StartMethod(method), why=why)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOrder:
    """What the zygote is to import."""

    source: DefinitionsSource
    #: The location's folder, where values that outlive a run are kept.
    home: str
    #: How many children are kept started ahead of their requests.
    spares: int = 0
    #: How children are to come about.
    start: StartMethod = StartMethod.AUTO
    #: Whether the definitions are for one run alone: the process that imports them executes it.
    is_for_one_run: bool = False
    #: Whether what a run leaves behind lives on.
    leaves_children: bool = False

    def encode(self) -> bytes:
        """Write the payload of a LOAD frame."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, payload: bytes) -> "LoadOrder":
        """Read the payload of a LOAD frame."""
        value = json.loads(payload)
        source = value.pop("source")
        source["env_files"] = tuple(source["env_files"])
        start = StartMethod(value.pop("start"))
        return cls(source=DefinitionsSource(**source), start=start, **value)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCall:
    """What a step's process, spawned by the run's, is to do."""

    #: The attempt's folder.
    folder: str
    #: In the words of the definitions' framework.
    step: bytes

    def encode(self) -> bytes:
        """Write the payload of a STEP frame."""
        return self.folder.encode() + b"\0" + self.step

    @classmethod
    def decode(cls, payload: bytes) -> "StepCall":
        """Read the payload of a STEP frame."""
        folder, _, step = payload.partition(b"\0")
        return cls(folder=folder.decode(), step=step)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forked:
    """A child is there."""

    call: int
    pid: int

    def encode(self) -> bytes:
        """Write the payload of a FORKED frame."""
        return _FORKED.pack(self.call, self.pid)

    @classmethod
    def decode(cls, payload: bytes) -> "Forked":
        """Read the payload of a FORKED frame."""
        call, pid = _FORKED.unpack(payload)
        return cls(call=call, pid=pid)


@dataclass(frozen=True, kw_only=True, slots=True)
class Exited:
    """A child is gone, and reaped."""

    call: int
    pid: int
    #: As waitpid gave it.
    status: int
    #: How many processes it had left behind, which were ended.
    left: int = 0
    #: The names of their programs, a line each, as far as they are told.
    left_names: str = ""

    def encode(self) -> bytes:
        """Write the payload of an EXITED frame."""
        return _EXITED.pack(self.call, self.pid, self.status, self.left) + self.left_names.encode()

    @classmethod
    def decode(cls, payload: bytes) -> "Exited":
        """Read the payload of an EXITED frame."""
        call, pid, status, left = _EXITED.unpack_from(payload)
        names = payload[_EXITED.size :].decode(errors="replace")
        return cls(call=call, pid=pid, status=status, left=left, left_names=names)


def fault_byte(error: OSError) -> bytes:
    """Write the byte that says why the journal cannot be written any more."""
    return bytes([_FAULT + min(error.errno or 0, 255 - _FAULT)])


def fault_of(told: bytes) -> str:
    """Read what a run's child said after its answer: why its journal cannot be written any more; empty when it can."""
    numbers = [byte - _FAULT for byte in told if byte >= _FAULT]
    if not numbers:
        return ""
    return f"its events could not be written: {os.strerror(numbers[0])}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fork:
    """A call that a child is wanted for."""

    call: int
    #: Whether it is a run: the best of the children that were started ahead is kept for one.
    is_run: bool


def fork_frame(fork: Fork) -> bytes:
    """Write a FORK frame: please fork a child for this call."""
    return frame(FrameKind.FORK, _FORK.pack(fork.call, fork.is_run))


def read_fork_frame(data: bytes) -> Fork:
    """Read a whole FORK frame."""
    call, is_run = _FORK.unpack_from(data, HEAD.size)
    return Fork(call=call, is_run=is_run)
