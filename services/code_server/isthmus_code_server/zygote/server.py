"""The zygote's loop: starts children when it is told to, keeps a few started ahead, reaps what ended, and tells of it."""

import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Protocol

from isthmus.v1.code_server_pb2 import DescribeResponse

from isthmus_code_server.definitions.port import Definitions, LoadDefinitions
from isthmus_code_server.errors import DefinitionsLoadError
from isthmus_code_server.kernel.family import adopt_orphans
from isthmus_code_server.kernel.process import other_threads
from isthmus_code_server.zygote.channel import receive_fork, receive_frame, send_frame
from isthmus_code_server.zygote.orphans import Orphans
from isthmus_code_server.zygote.spare import Spare
from isthmus_code_server.zygote.wire import Exited, Forked, FrameKind, LoadOrder

#: How long nothing may have been asked for before a spare is started, seconds: starting one takes some thirty
#: milliseconds of a processor, which the run that has just been launched needs itself.
SPARE_DELAY_S = 0.06
#: The same while one child at the most serves a call: on two processors it is ready when the next of a row of runs comes.
LONELY_SPARE_DELAY_S = 0.02
#: The status, as waitpid would give it, of a child that could not be started: exit code 1.
_NOT_STARTED = 1 << 8


class ChildStart(Protocol):
    """How children come about."""

    def start(self, fd: int, *, inherited: Iterable[socket.socket]) -> int:
        """Start a child that serves a channel at once; returns its process id."""
        ...

    def start_ahead(self, *, inherited: Iterable[socket.socket]) -> Spare:
        """Start a child that prepares, then waits for its channel."""
        ...


#: Chooses how children of these definitions come about.
ChooseStart = Callable[[LoadOrder, Definitions], ChildStart]


class Zygote:
    """Serves one supervisor until that closes the channel."""

    def __init__(self, channel: socket.socket, *, load: LoadDefinitions, choose_start: ChooseStart) -> None:
        self._channel = channel
        self._load = load
        self._choose_start = choose_start

    def serve(self) -> int:
        """Load what the supervisor asks for, then start children on demand; returns this process's exit code."""
        try:
            return self._serve()
        except (BrokenPipeError, ConnectionResetError):
            # The supervisor closed the channel while we spoke: nobody is left to serve.
            return 0

    def _serve(self) -> int:
        received = receive_frame(self._channel)
        if received is None:
            return 0
        order = LoadOrder.decode(received[1])
        definitions = self._load_and_tell(order)
        if definitions is None:
            return 1
        # What is alive now lives for ever: the collector of a child must not touch, and so copy, its pages.
        gc.collect()
        gc.freeze()
        if not order.leaves_children:
            adopt_orphans()
        nursery = Nursery(
            self._channel,
            start=self._choose_start(order, definitions),
            wanted_spares=order.spares,
            refills=not order.is_for_one_run,
            orphans=None if order.leaves_children else Orphans(),
        )
        nursery.serve()
        return 0

    def _load_and_tell(self, order: LoadOrder) -> Definitions | None:
        try:
            definitions = self._load(order.source, Path(order.home), is_for_one_run=order.is_for_one_run)
            threads = other_threads()
            described = DescribeResponse(
                snapshot=definitions.describe(),
                framework=definitions.framework,
                python_version=_python_version(),
            )
        except DefinitionsLoadError as error:
            described = DescribeResponse(failure=error.failure, python_version=_python_version())
            send_frame(self._channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))
            return None
        if not order.is_spawned:
            described.snapshot.warnings.extend(_thread_warning(thread) for thread in threads)
            send_frame(self._channel, FrameKind.THREADS, "\n".join(threads).encode())
        send_frame(self._channel, FrameKind.LOADED, described.SerializeToString(deterministic=True))
        return definitions


class Nursery:
    """The children of a zygote: those that serve a call, and the spares that wait for one."""

    def __init__(
        self,
        channel: socket.socket,
        *,
        start: ChildStart,
        wanted_spares: int,
        refills: bool = True,
        orphans: Orphans | None = None,
    ) -> None:
        self._channel = channel
        self._start = start
        self._wanted_spares = wanted_spares
        self._refills = refills
        #: What ends the processes that runs leave behind; None where they live on.
        self._orphans = orphans
        self._calls: dict[int, int] = {}
        self._spares: dict[int, Spare] = {}
        self._selector = selectors.DefaultSelector()
        self._asked_at = time.monotonic()
        #: A spare that died unasked would only die again: another is started after the next call.
        self._may_start_spares = True

    def serve(self) -> None:
        """Start children until the supervisor closes the channel."""
        self._wakeup_in, wakeup_out = socket.socketpair()
        self._wakeup_out = wakeup_out
        self._wakeup_in.setblocking(False)
        wakeup_out.setblocking(False)
        signal.set_wakeup_fd(wakeup_out.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _wake)
        with self._selector, self._wakeup_in, wakeup_out:
            self._selector.register(self._channel, selectors.EVENT_READ)
            self._selector.register(self._wakeup_in, selectors.EVENT_READ)
            while self._serve_events():
                self._reap()
                self._start_spare_if_idle()

    def _serve_events(self) -> bool:
        """Wait for something and see to it; False when the supervisor closed the channel."""
        for key, _ in self._selector.select(self._quiet_for_s()):
            if key.fileobj is self._wakeup_in:
                self._wakeup_in.recv(4096)
            elif isinstance(key.data, Spare):
                if not key.data.hear():
                    self._drop_spare(key.data)
            elif not self._serve_call():
                return False
        return True

    def _serve_call(self) -> bool:
        """Give the next call a child; False when the supervisor closed the channel."""
        received = receive_fork(self._channel)
        if received is None:
            return False
        call, fd = received
        pid = self._start_child(fd) if fd is not None else 0
        if pid:
            self._calls[pid] = call
            send_frame(self._channel, FrameKind.FORKED, Forked(call=call, pid=pid).encode())
        else:
            # As if it had exited at once: the call fails, and those that have their children go on.
            self._tell(Exited(call=call, pid=0, status=_NOT_STARTED))
        self._asked_at = time.monotonic()
        self._may_start_spares = self._refills
        return True

    def _start_child(self, fd: int) -> int:
        """Give a channel a child; returns its process id, 0 when the system has no room for one."""
        try:
            return self._hand_to_spare(fd) or self._start.start(fd, inherited=self._own_sockets())
        except OSError as error:
            sys.stderr.write(f"A process could not be started: {error}.\n")
            return 0
        finally:
            os.close(fd)

    def _own_sockets(self) -> list[socket.socket]:
        return [
            self._channel,
            self._wakeup_in,
            self._wakeup_out,
            *(spare.channel for spare in self._spares.values()),
        ]

    # ----------------------------------------------------------------------------------------------------- spares

    def _hand_to_spare(self, fd: int) -> int:
        """Hand a channel to a spare that is ready; returns its process id, 0 when there is none."""
        for spare in [spare for spare in self._spares.values() if spare.is_ready]:
            self._selector.unregister(spare.channel)
            del self._spares[spare.pid]
            if spare.hand_over(fd):
                return spare.pid
            # It is dying: whoever reaps it finds that it serves no call.
            self._calls[spare.pid] = 0
        return 0

    def _quiet_for_s(self) -> float | None:
        """Return how long there is nothing to do but listen, seconds; None for ever."""
        waits = (self._idle_for_s(), self._orphans.wait_s() if self._orphans is not None else None)
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _idle_for_s(self) -> float | None:
        """Return how long to wait for a call before a spare is started, seconds; None for ever."""
        if not self._is_spare_wanted():
            return None
        serving = sum(call != 0 for call in self._calls.values())
        delay_s = LONELY_SPARE_DELAY_S if serving <= 1 else SPARE_DELAY_S
        return max(0.0, self._asked_at + delay_s - time.monotonic())

    def _is_spare_wanted(self) -> bool:
        # One at a time: two would take the processor from each other, and from whoever is launched meanwhile.
        is_preparing = any(not spare.is_ready for spare in self._spares.values())
        return self._may_start_spares and not is_preparing and len(self._spares) < self._wanted_spares

    def _start_spare_if_idle(self) -> None:
        if self._is_spare_wanted() and self._idle_for_s() == 0.0:
            try:
                spare = self._start.start_ahead(inherited=self._own_sockets())
            except OSError:
                # No room for another process: one is started after the next call, if there is room then.
                self._may_start_spares = False
                return
            self._spares[spare.pid] = spare
            self._selector.register(spare.channel, selectors.EVENT_READ, spare)

    def _drop_spare(self, spare: Spare) -> None:
        self._selector.unregister(spare.channel)
        spare.channel.close()
        del self._spares[spare.pid]
        self._calls[spare.pid] = 0
        self._may_start_spares = False

    # ------------------------------------------------------------------------------------------------------- reap

    def _reap(self) -> None:
        """Reap our own children, and what they left behind: what user code started at import is not ours to wait for."""
        for pid, call in list(self._calls.items()):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped == pid:
                del self._calls[pid]
                exited = Exited(call=call, pid=pid, status=status)
                if self._orphans is None:
                    self._tell(exited)
                else:
                    self._orphans.note(exited)
        if self._orphans is not None:
            for exited in self._orphans.look(ours={*self._calls, *self._spares}):
                self._tell(exited)

    def _tell(self, exited: Exited) -> None:
        """Tell the supervisor of an exit; a spare that served no call concerns nobody."""
        if exited.call:
            send_frame(self._channel, FrameKind.EXITED, exited.encode())


def _wake(signal_number: int, stack: FrameType | None) -> None:
    """Let the wakeup descriptor become readable, which is all that is needed."""


def _thread_warning(thread: str) -> str:
    return (
        f"Importing the project started the thread {thread!r}, which does not exist in the runs that are forked off it:"
        " start it where it is used, or apply the location with `start: spawn`."
    )


def _python_version() -> str:
    from platform import python_version

    return python_version()
