"""The supervisor's end of the zygote: has it fork, and hears what became of the children."""

import asyncio
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from isthmus.v1.code_server_pb2 import DescribeResponse
from isthmus.v1.telemetry_pb2 import Failure
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_code_server.attempts.ending import UNSEEN_EXIT, ChildExit, signal_name
from isthmus_code_server.errors import ImportEndedError, NotLoadedError, ZygoteLostError
from isthmus_code_server.kernel.family import end_children
from isthmus_code_server.runs.group import signal_run
from isthmus_code_server.runs.zygote_process import ZygoteProcess
from isthmus_code_server.zygote.wire import (
    HEAD,
    Exited,
    Fork,
    Forked,
    FrameKind,
    StartChoice,
    fork_frame,
    frame,
    read_head,
)

log = get_logger(__name__)

#: What a zygote that somebody killed, or told to go, ends with: that says nothing of the project.
_ENDED_FROM_OUTSIDE = frozenset({0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT})
#: How long a zygote that was told to go may take before it is killed, seconds.
STOP_TIMEOUT_S = 5.0


def _future() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


@dataclass(kw_only=True, eq=False)
class Child:
    """A forked child, from the supervisor's side.

    Its futures are shielded: a caller that gives up while it waits for one must not cancel it for the others.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _pid: asyncio.Future[int] = field(default_factory=_future)
    _exit: asyncio.Future[ChildExit] = field(default_factory=_future)
    _is_abandoned: bool = False

    async def forked(self) -> int:
        """Wait until the child is there; returns its process id, 0 when it was lost before."""
        return await asyncio.shield(self._pid)

    async def ended(self) -> ChildExit:
        """Wait until the child is gone, and reaped."""
        return await asyncio.shield(self._exit)

    @property
    def is_gone(self) -> bool:
        """Whether the child is known to have ended."""
        return self._exit.done()

    def close(self) -> None:
        """Close our end of the child's channel; closing twice is fine."""
        self.writer.close()

    def abandon(self) -> None:
        """Close the channel and have the child killed, as soon as it is known: nobody wants its answer any more."""
        self.close()
        self._is_abandoned = True
        if self._pid.done() and not self.is_gone:
            signal_run(self._pid.result(), signal.SIGKILL)

    def tell_forked(self, pid: int) -> None:
        """Hear from the zygote that the child is there."""
        if not self._pid.done():
            self._pid.set_result(pid)
        if self._is_abandoned:
            self.abandon()

    def tell_ended(self, child_exit: ChildExit) -> None:
        """Hear that the child is gone."""
        if not self._pid.done():
            self._pid.set_result(0)
        if not self._exit.done():
            self._exit.set_result(child_exit)


@dataclass
class ZygoteLink:
    """One zygote's life. `run` is its loop: it returns when the zygote is gone, however that came about."""

    zygote: ZygoteProcess
    #: Whether every process below this one goes with the zygote: its orphans come to us.
    ends_orphans: bool = False
    #: How runs get their processes; None until the project is imported.
    start: StartChoice | None = field(default=None, init=False)
    _children: dict[int, Child] = field(default_factory=dict, init=False)
    _calls: int = field(default=0, init=False)
    _channel: socket.socket | None = field(default=None, init=False)
    _boundary: Boundary = field(default_factory=lambda: Boundary("zygote"), init=False)

    def __post_init__(self) -> None:
        self._described: asyncio.Future[DescribeResponse | None] = asyncio.get_running_loop().create_future()

    @property
    def phase(self) -> str:
        """Tell how far the zygote is: "loading", "ready", "failed" or "stopped"."""
        if not self._described.done():
            return "loading"
        described = self._described.result()
        if described is not None and described.HasField("failure"):
            return "failed"
        return "ready" if described is not None and self._channel is not None else "stopped"

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self.zygote.process.pid

    async def described(self) -> DescribeResponse:
        """Wait until the definitions are loaded or failed to load.

        Raises:
            ZygoteLostError: The zygote ended before it could tell.
        """
        described = await asyncio.shield(self._described)
        if described is None:
            raise ZygoteLostError
        return described

    async def run(self) -> None:
        """Hear the zygote until it ends; one that says what cannot be understood is ended."""
        try:
            await self._hear_to_the_end()
            status = await asyncio.to_thread(_reap, self.zygote.process)
            if not self._described.done() and status not in _ENDED_FROM_OUTSIDE:
                self._described.set_result(DescribeResponse(failure=_import_ended(status)))
        finally:
            if not self._described.done():
                self._described.set_result(None)
        if self.ends_orphans and (left := await asyncio.to_thread(end_children)):
            log.warning("processes_left_behind_were_ended", count=left)
        self._lose_children()

    async def _hear_to_the_end(self) -> None:
        with self.zygote.channel as channel:
            channel.setblocking(False)
            self._channel = channel
            try:
                with self._boundary.guard(pid=self.pid) as fate:
                    await self._hear(channel)
                if fate.error is not None:
                    self.zygote.process.kill()
            finally:
                self._channel = None

    def close(self) -> None:
        """Tell the zygote to go: it does when it reads the end of the channel. Children die with it."""
        if self.phase == "loading":
            # It reads nothing before the project is imported, and that may take minutes.
            self.zygote.process.kill()
        elif self._channel is not None:
            self._channel.shutdown(socket.SHUT_WR)

    async def fork(self, kind: FrameKind, payload: bytes) -> Child:
        """Have a child forked and send it its request.

        Raises:
            NotLoadedError: The definitions are not loaded.
            ZygoteLostError: The zygote has just ended.
        """
        if self.phase != "ready" or self._channel is None:
            raise NotLoadedError(self.phase)
        ours, theirs = socket.socketpair()
        with theirs:
            child = await _open_child(ours)
            self._calls += 1
            call = self._calls
            self._children[call] = child
            is_sent = False
            try:
                await self._send_fork(Fork(call=call, is_run=kind is FrameKind.START_RUN), theirs.fileno())
                is_sent = True
            finally:
                # The caller may have given up, too: nothing was asked of the zygote then.
                if not is_sent:
                    self._children.pop(call, None)
                    child.close()
        child.writer.write(frame(kind, payload))
        return child

    async def _send_fork(self, fork: Fork, fd: int) -> None:
        """Send a FORK frame whole: it is far smaller than what a socket takes at once, or refuses at once."""
        while True:
            if self._channel is None:
                raise ZygoteLostError
            try:
                socket.send_fds(self._channel, [fork_frame(fork)], [fd])
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError as error:
                raise ZygoteLostError from error
            else:
                return

    # ----------------------------------------------------------------------------------------------- what it says

    async def _hear(self, channel: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = bytearray()
        while True:  # pauses: the channel is read, or has ended
            try:
                data = await loop.sock_recv(channel, 65536)
            except ConnectionError:
                data = b""
            if not data:
                return
            buffer += data
            while (message := _take_frame(buffer)) is not None:
                self._take(*message)

    def _take(self, kind: FrameKind, payload: bytes) -> None:
        match kind:
            case FrameKind.START:
                self.start = StartChoice.decode(payload)
                log.info("start_method_chosen", start=str(self.start.method), why=self.start.why)
            case FrameKind.LOADED:
                if not self._described.done():
                    self._described.set_result(DescribeResponse.FromString(payload))
            case FrameKind.FORKED:
                forked = Forked.decode(payload)
                if (child := self._children.get(forked.call)) is not None:
                    child.tell_forked(forked.pid)
            case FrameKind.EXITED:
                exited = Exited.decode(payload)
                if exited.left:
                    names = exited.left_names.split("\n")
                    log.warning("processes_left_behind_were_ended", pid=exited.pid, count=exited.left, names=names)
                if (child := self._children.pop(exited.call, None)) is not None:
                    child.tell_ended(ChildExit.from_status(exited.status, left=exited.left))
            case _:
                log.error("zygote_said_nonsense", kind=kind)

    def _lose_children(self) -> None:
        """Tell everyone who waits for a child: the kernel kills them together with the zygote."""
        for child in self._children.values():
            child.tell_ended(UNSEEN_EXIT)
        self._children.clear()


async def _open_child(ours: socket.socket) -> Child:
    try:
        reader, writer = await asyncio.open_connection(sock=ours)
    except BaseException:
        ours.close()
        raise
    return Child(reader=reader, writer=writer)


def _take_frame(buffer: bytearray) -> tuple[FrameKind, bytes] | None:
    if len(buffer) < HEAD.size:
        return None
    length, kind = read_head(bytes(buffer[: HEAD.size]))
    end = HEAD.size + length
    if len(buffer) < end:
        return None
    payload = bytes(buffer[HEAD.size : end])
    del buffer[:end]
    return kind, payload


def _reap(process: subprocess.Popen[bytes]) -> int:
    """Wait for the zygote, whose channel is closed, and kill it if it does not go; returns its exit code or -signal."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(STOP_TIMEOUT_S)
    process.kill()
    return process.wait()


def _import_ended(status: int) -> Failure:
    error = ImportEndedError(exit_code=max(0, status), signal=signal_name(-status) if status < 0 else "")
    return Failure(error_class=type(error).__name__, message=str(error))
