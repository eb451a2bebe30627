"""The zygote's loop: forks when it is told to, reaps what ended, and tells of both."""

import gc
import os
import selectors
import signal
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from isthmus.v1.code_server_pb2 import DescribeResponse

from isthmus_code_server.definitions.port import Definitions, LoadDefinitions
from isthmus_code_server.errors import DefinitionsLoadError
from isthmus_code_server.zygote.channel import receive_fork, receive_frame, send_frame
from isthmus_code_server.zygote.process import die_with_parent, end, other_threads, reseed, reset_signals
from isthmus_code_server.zygote.wire import Exited, Forked, FrameKind, LoadOrder

#: Does a child's work and returns its exit code.
ChildMain = Callable[[socket.socket, Definitions], int]


class Zygote:
    """Serves one supervisor until that closes the channel."""

    def __init__(self, channel: socket.socket, *, load: LoadDefinitions, child_main: ChildMain) -> None:
        self._channel = channel
        self._load = load
        self._child_main = child_main
        self._calls: dict[int, int] = {}

    def serve(self) -> int:
        """Load what the supervisor asks for, then fork on demand; returns this process's exit code."""
        try:
            return self._serve()
        except (BrokenPipeError, ConnectionResetError):
            # The supervisor closed the channel while we spoke: nobody is left to serve.
            return 0

    def _serve(self) -> int:
        order = receive_frame(self._channel)
        if order is None:
            return 0
        definitions = self._load_and_tell(LoadOrder.decode(order[1]))
        if definitions is None:
            return 1
        # What is alive now lives for ever: the collector of a child must not touch, and so copy, its pages.
        gc.collect()
        gc.freeze()
        self._serve_forks(definitions)
        return 0

    def _load_and_tell(self, order: LoadOrder) -> Definitions | None:
        try:
            definitions = self._load(order.source, Path(order.home))
            described = DescribeResponse(
                snapshot=definitions.describe(),
                framework=definitions.framework,
                python_version=_python_version(),
            )
        except DefinitionsLoadError as error:
            described = DescribeResponse(failure=error.failure, python_version=_python_version())
            send_frame(self._channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))
            return None
        send_frame(self._channel, FrameKind.THREADS, "\n".join(other_threads()).encode())
        send_frame(self._channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))
        return definitions

    def _serve_forks(self, definitions: Definitions) -> None:
        wakeup_in, wakeup_out = socket.socketpair()
        wakeup_in.setblocking(False)
        wakeup_out.setblocking(False)
        signal.set_wakeup_fd(wakeup_out.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        with selectors.DefaultSelector() as selector, wakeup_in, wakeup_out:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(wakeup_in, selectors.EVENT_READ)
            inherited = (self._channel, wakeup_in, wakeup_out)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is wakeup_in:
                        wakeup_in.recv(4096)
                    elif not self._fork_next(definitions, inherited):
                        return
                self._reap()

    def _fork_next(self, definitions: Definitions, inherited: tuple[socket.socket, ...]) -> bool:
        """Fork for the next call; False when the supervisor closed the channel."""
        received = receive_fork(self._channel)
        if received is None:
            return False
        call, fd = received
        zygote_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._be_child(definitions, fd=fd, inherited=inherited, zygote_pid=zygote_pid)
        os.close(fd)
        self._calls[pid] = call
        send_frame(self._channel, FrameKind.FORKED, Forked(call=call, pid=pid).encode())
        return True

    def _be_child(
        self, definitions: Definitions, *, fd: int, inherited: tuple[socket.socket, ...], zygote_pid: int
    ) -> NoReturn:
        """Do a child's work and end; nothing returns into the zygote's loop."""
        exit_code = 1
        try:
            reset_signals()
            os.setsid()
            die_with_parent(zygote_pid)
            for channel in inherited:
                channel.close()
            reseed()
            with socket.socket(fileno=fd) as channel:
                exit_code = self._child_main(channel, definitions)
        except BaseException:  # noqa: BLE001  # nothing may return into the zygote's loop
            traceback.print_exc()
        finally:
            end(exit_code)

    def _reap(self) -> None:
        """Reap our own children only: what user code started at import is not ours to wait for."""
        for pid, call in list(self._calls.items()):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped == pid:
                del self._calls[pid]
                send_frame(self._channel, FrameKind.EXITED, Exited(call=call, pid=pid, status=status).encode())


def _wake(signal_number: int, stack: FrameType | None) -> None:
    """Let the wakeup descriptor become readable, which is all that is needed."""


def _python_version() -> str:
    from platform import python_version

    return python_version()
