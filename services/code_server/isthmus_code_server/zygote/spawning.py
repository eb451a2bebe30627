"""Starts children as interpreters of their own, for projects that cannot be forked once they are imported."""

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from isthmus_code_server.kernel.interpreter import own_python
from isthmus_code_server.kernel.memory_room import has_room_for_another
from isthmus_code_server.zygote.channel import send_frame
from isthmus_code_server.zygote.spare import Spare
from isthmus_code_server.zygote.wire import FrameKind, LoadOrder, StepCall

#: The descriptor under which a spawned process finds its socket.
_FD = 3
_MODULE = "isthmus_code_server.zygote.spawned"


class Spawning:
    """Children that import the definitions themselves."""

    #: One that still imports is further than one that is started now.
    takes_unready_spares = True

    def __init__(self, order: LoadOrder) -> None:
        self._order = order

    def start(self, fd: int, *, inherited: Iterable[socket.socket]) -> int:
        """Start a child that serves a channel as soon as it has imported; returns its process id."""
        spare = self.start_ahead(inherited=inherited)
        with spare.channel:
            spare.hand_over(fd)
        return spare.pid

    def start_ahead(self, *, inherited: Iterable[socket.socket]) -> Spare:
        """Start a child that imports, then waits for its channel."""
        del inherited  # A process that is executed anew inherits none of them.
        ours, theirs = socket.socketpair()
        with theirs:
            pid = _spawn("run", theirs, is_leader=True)
        send_frame(ours, FrameKind.LOAD, self._order.encode())
        return Spare(pid=pid, channel=ours)

    def has_room(self) -> bool:
        """Tell whether there is memory for one more; each has all of its memory to itself."""
        return has_room_for_another()


def spawn_step(ours: socket.socket, theirs: socket.socket, *, order: LoadOrder, folder: Path, step: bytes) -> int:
    """Start a process for a step of a run; returns its process id.

    Args:
        ours: Where the caller will hear the step.
        theirs: The step's end.
        order: What it is to import.
        folder: The attempt's folder.
        step: What the step's process is to do, in the words of the definitions' framework.
    """
    pid = _spawn("step", theirs, is_leader=False)
    send_frame(ours, FrameKind.LOAD, order.encode())
    send_frame(ours, FrameKind.STEP, StepCall(folder=str(folder), step=step).encode())
    return pid


def _spawn(task: str, channel: socket.socket, *, is_leader: bool) -> int:
    """Execute Python anew with one socket of ours; a leader gets a session, and so a process group, of its own."""
    return os.posix_spawn(
        sys.executable,
        [*own_python(_MODULE), task, str(_FD), str(os.getpid())],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, channel.fileno(), _FD)],
        setsid=is_leader,
        setsigmask=(),
    )
