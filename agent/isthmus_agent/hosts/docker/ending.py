"""What the end of a container means: pure decisions."""

import signal
from dataclasses import dataclass
from enum import Enum

from isthmus_agent.hosts.host import Server, ServerExit

#: Shells, init processes and the engine tell a signal as an exit code above this.
_SIGNAL_BASE = 128


def exit_of(server: Server, *, code: int | None, was_memory_short: bool) -> ServerExit:
    """Say how a container ended.

    Args:
        server: what it was.
        code: its exit code as the engine tells it; None when the engine knows no more.
        was_memory_short: whether the kernel killed a process in it for memory at some time. It may have been a child
            whose death was handled long ago, so an end that has another explanation is not put down to it.
    """
    if code is None:
        return ServerExit(server)
    number = _signal_in(code)
    is_explained = code == 0 or (number is not None and number is not signal.SIGKILL)
    is_out_of_memory = was_memory_short and not is_explained
    if number is not None:
        return ServerExit(server, signal=number, is_out_of_memory=is_out_of_memory)
    return ServerExit(server, exit_code=code, is_out_of_memory=is_out_of_memory)


class Fate(Enum):
    """What becomes of a container that does not run."""

    KEEP = "keep"
    REMOVE = "remove"


@dataclass(frozen=True)
class Remains:
    """A container that does not run, and that no server is known for."""

    #: False for one that was created and never started.
    has_run: bool
    #: None where the engine tells none.
    exit_code: int | None
    #: Seconds since it ended, or since it was created if it never ran.
    age_s: float


def fate_of(remains: Remains, *, failed_kept_s: float, orphan_grace_s: float) -> Fate:
    """Say what becomes of what is left of a server."""
    if not remains.has_run:
        # It may be in the middle of its creation.
        return Fate.REMOVE if remains.age_s >= orphan_grace_s else Fate.KEEP
    if remains.exit_code == 0:
        return Fate.REMOVE
    return Fate.REMOVE if remains.age_s >= failed_kept_s else Fate.KEEP


def _signal_in(code: int) -> signal.Signals | None:
    try:
        return signal.Signals(code - _SIGNAL_BASE)
    except ValueError:
        return None
