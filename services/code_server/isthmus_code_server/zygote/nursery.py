"""The children of a zygote: those that serve a call, and those that wait for one."""

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from isthmus_code_server.zygote.channel import receive_fork, send_frame
from isthmus_code_server.zygote.orphans import Orphans
from isthmus_code_server.zygote.spare import Spare
from isthmus_code_server.zygote.wire import Exited, Fork, Forked, FrameKind

#: How long nothing may have been asked for before a spare is started, seconds: starting one takes some thirty
#: milliseconds of a processor, which the run that has just been launched needs itself.
SPARE_DELAY_S = 0.06
#: The same while one child at the most serves a call: on two processors it is ready when the next of a row of runs comes.
LONELY_SPARE_DELAY_S = 0.02
#: How long to wait before a spare that died unasked is replaced, seconds; twice as long after each that follows.
DEATH_PAUSE_S = 0.5
#: The longest of these waits, seconds.
MAX_DEATH_PAUSE_S = 60.0
#: The status, as waitpid would give it, of a child that could not be started: exit code 1.
_NOT_STARTED = 1 << 8


class ChildStart(Protocol):
    """How children come about."""

    @property
    def takes_unready_spares(self) -> bool:
        """Whether a spare that still prepares serves a call sooner than a child that is started now."""
        ...

    def start(self, fd: int, *, inherited: Iterable[socket.socket]) -> int:
        """Start a child that serves a channel at once; returns its process id."""
        ...

    def start_ahead(self, *, inherited: Iterable[socket.socket]) -> Spare:
        """Start a child that prepares, then waits for its channel."""
        ...

    def has_room(self) -> bool:
        """Tell whether there is memory for a spare."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Handover:
    """A call that was given to a spare, which has not said yet that it has it."""

    fork: Fork
    spare: Spare
    channel: socket.socket


class Nursery:
    """The children of a zygote: those that serve a call, and the spares that wait for one."""

    def __init__(
        self,
        channel: socket.socket,
        *,
        start: ChildStart,
        spares: int,
        first: Spare | None = None,
        orphans: Orphans | None = None,
    ) -> None:
        """Keep children.

        Args:
            channel: Where the supervisor asks for them.
            start: How they come about.
            spares: How many wait ahead.
            first: A spare that was started already.
            orphans: What ends the processes that runs leave behind; None where they live on.
        """
        self._channel = channel
        self._start = start
        self._wanted_spares = spares
        self._orphans = orphans
        self._calls: dict[int, int] = {}
        self._spares: dict[int, Spare] = {first.pid: first} if first is not None else {}
        self._selector = selectors.DefaultSelector()
        self._handed: dict[int, _Handover] = {}
        self._asked_at = time.monotonic()
        self._may_start_spares = True
        #: How many spares have died unasked since the last one was used.
        self._deaths = 0
        self._next_spare_at = 0.0

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
            for spare in self._spares.values():
                self._selector.register(spare.channel, selectors.EVENT_READ, spare)
            while self._serve_events():
                self._reap()
                self._start_spare_if_idle()

    def _serve_events(self) -> bool:
        """Wait for something and see to it; False when the supervisor closed the channel."""
        for key, _ in self._selector.select(self._quiet_for_s()):
            if key.fileobj is self._wakeup_in:
                self._wakeup_in.recv(4096)
            elif isinstance(key.data, Spare):
                self._hear_spare(key.data)
            elif not self._serve_call():
                return False
        return True

    def _serve_call(self) -> bool:
        """Give the next call a child; False when the supervisor closed the channel."""
        received = receive_fork(self._channel)
        if received is None:
            return False
        fork, fd = received
        if fd is None:
            self._refuse(fork.call)
        else:
            channel = socket.socket(fileno=fd)
            # A process that is executed anew must not hold it open.
            channel.set_inheritable(False)
            self._place(fork, channel)
        self._asked_at = time.monotonic()
        self._may_start_spares = True
        return True

    def _place(self, fork: Fork, channel: socket.socket) -> None:
        """Give a call's channel to a spare, else to a child that is started for it."""
        if self._hand_to_spare(fork, channel):
            return
        with channel:
            try:
                pid = self._start.start(channel.fileno(), inherited=self._own_sockets())
            except OSError as error:
                sys.stderr.write(f"A process could not be started: {error}.\n")
                self._refuse(fork.call)
                return
        self._tell_forked(fork.call, pid)

    def _tell_forked(self, call: int, pid: int) -> None:
        self._calls[pid] = call
        send_frame(self._channel, FrameKind.FORKED, Forked(call=call, pid=pid).encode())

    def _refuse(self, call: int) -> None:
        """Fail a call as if its child had exited at once; those that have their children go on."""
        self._tell(Exited(call=call, pid=0, status=_NOT_STARTED))

    def _own_sockets(self) -> list[socket.socket]:
        return [
            self._channel,
            self._wakeup_in,
            self._wakeup_out,
            *(spare.channel for spare in self._spares.values()),
            *(end for handover in self._handed.values() for end in (handover.spare.channel, handover.channel)),
        ]

    # ----------------------------------------------------------------------------------------------------- spares

    def _hand_to_spare(self, fork: Fork, channel: socket.socket) -> bool:
        """Hand a channel to a spare, one that is ready before others; False when there is none.

        The best one is kept for a run: a question, as the evaluation of a sensor, takes another.
        """
        may_be_unready = self._start.takes_unready_spares
        usable = [spare for spare in self._spares.values() if spare.is_ready or may_be_unready]
        usable.sort(key=lambda spare: not spare.is_ready)
        for spare in usable if fork.is_run else usable[1:]:
            del self._spares[spare.pid]
            # Until it says that it has taken the call it serves none: whoever reaps it need not tell of it.
            self._calls[spare.pid] = 0
            if spare.hand_over(channel.fileno()):
                self._handed[spare.pid] = _Handover(fork=fork, spare=spare, channel=channel)
                return True
            self._forget(spare)
        return False

    def _hear_spare(self, spare: Spare) -> None:
        """Take what a spare says, before it was handed a channel or after."""
        if spare.pid not in self._spares and spare.pid not in self._handed:
            # It was dropped while what it said was waiting to be heard.
            return
        is_there = spare.hear()
        handover = self._handed.get(spare.pid)
        if handover is None:
            if not is_there:
                self._drop_spare(spare)
        elif spare.has_taken:
            self._deaths = 0
            self._end_handover(handover)
            handover.channel.close()
            self._tell_forked(handover.fork.call, spare.pid)
        elif not is_there:
            # It was about to die, and has done nothing of the call.
            self._end_handover(handover)
            self._place(handover.fork, handover.channel)

    def _end_handover(self, handover: "_Handover") -> None:
        del self._handed[handover.spare.pid]
        self._forget(handover.spare)

    def _forget(self, spare: Spare) -> None:
        self._selector.unregister(spare.channel)
        spare.channel.close()

    def _quiet_for_s(self) -> float | None:
        """Return how long there is nothing to do but listen, seconds; None for ever."""
        waits = (self._idle_for_s(), self._orphans.wait_s() if self._orphans is not None else None)
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _idle_for_s(self) -> float | None:
        """Return how long to wait for a call before a spare is started, seconds; None for ever."""
        if not self._is_spare_wanted():
            return None
        serving = sum(call != 0 for call in self._calls.values()) + len(self._handed)
        delay_s = LONELY_SPARE_DELAY_S if serving <= 1 else SPARE_DELAY_S
        return max(0.0, max(self._asked_at + delay_s, self._next_spare_at) - time.monotonic())

    def _is_spare_wanted(self) -> bool:
        # One at a time: two would take the processor from each other, and from whoever is launched meanwhile.
        is_preparing = any(not spare.is_ready for spare in self._spares.values())
        return self._may_start_spares and not is_preparing and len(self._spares) < self._wanted_spares

    def _start_spare_if_idle(self) -> None:
        if self._is_spare_wanted() and self._idle_for_s() == 0.0:
            # Without room for another process, one is started after the next call, if there is room then.
            if not self._start.has_room():
                self._may_start_spares = False
                return
            try:
                spare = self._start.start_ahead(inherited=self._own_sockets())
            except OSError:
                self._may_start_spares = False
                return
            self._spares[spare.pid] = spare
            self._selector.register(spare.channel, selectors.EVENT_READ, spare)

    def _drop_spare(self, spare: Spare) -> None:
        self._forget(spare)
        del self._spares[spare.pid]
        self._calls[spare.pid] = 0
        # Somebody killed it, or it will only die again: another is started after a pause that grows.
        self._deaths += 1
        self._next_spare_at = time.monotonic() + min(DEATH_PAUSE_S * 2 ** min(self._deaths - 1, 10), MAX_DEATH_PAUSE_S)

    # ------------------------------------------------------------------------------------------------------- reap

    def _reap(self) -> None:
        """Reap our own children, and what they left behind: what user code started at import is not ours to wait for."""
        for pid in list(self._calls):
            reaped, status = os.waitpid(pid, os.WNOHANG)
            if reaped == pid:
                # What it said before it went counts.
                while (handover := self._handed.get(pid)) is not None:
                    self._hear_spare(handover.spare)
                exited = Exited(call=self._calls.pop(pid), pid=pid, status=status)
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
