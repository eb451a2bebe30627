"""One attempt while it lives here: its child's channel, its journal on the way to the broker, its end."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable

from isthmus.v1.code_server_pb2 import StartRunResponse
from isthmus.v1.telemetry_pb2 import Event
from isthmus_broker.relay import Relay
from isthmus_lifecycle.log import get_logger
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalReader, JournalWriter, repair

from isthmus_code_server.attempts.cancel_marker import cancel_reason
from isthmus_code_server.attempts.ending import ChildExit, cancel_ladder, terminal_event
from isthmus_code_server.attempts.memory import MemoryWatch
from isthmus_code_server.runs.zygote_link import Child
from isthmus_code_server.zygote.wire import ENDED, HEAD, FrameKind, read_head

log = get_logger(__name__)

#: How long what a run left of its process group may take to vanish after SIGKILL, seconds.
_GROUP_TIMEOUT_S = 1.0
#: How long a child's last words may take to be read once it is gone, seconds.
_LAST_WORDS_S = 0.1
#: How often a full disk is asked again to take the terminal event, seconds.
_DISK_RETRY_S = 1.0


class LiveAttempt:
    """An attempt that this server started."""

    def __init__(self, folder: AttemptFolder, *, relay: Relay, memory: MemoryWatch) -> None:
        self.folder = folder
        self.started_at = time.time()
        self.pid = 0
        self._relay = relay
        self._memory = memory
        self._child: Child | None = None
        self._is_forked = asyncio.Event()
        self._has_ended_itself = False
        #: What StartRun answers; also to a second call that comes meanwhile.
        self.verdict: asyncio.Future[StartRunResponse] = asyncio.get_running_loop().create_future()
        #: Set once the process is gone and the terminal event is in the journal.
        self.is_over = asyncio.Event()

    async def begin(self, child: Child) -> StartRunResponse | None:
        """Hear the child's verdict; None when it ended without one."""
        self._child = child
        self._is_forked.set()
        answer = await read_answer(child)
        self.pid = await child.pid
        return StartRunResponse.FromString(answer) if answer is not None else None

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended, though its end may not be written yet."""
        return self._child is not None and self._child.exit.done()

    def withdraw(self) -> None:
        """Say that nothing was started: whoever waits for its end need not."""
        self.is_over.set()
        self._is_forked.set()

    async def watch(self, on_over: Callable[[], None]) -> None:
        """Carry the run's events to the broker until it is over and all of them are confirmed.

        Args:
            on_over: Called as soon as the process is gone and its terminal event is in the journal.
        """
        child = self._child
        if child is None:
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._relay.run(), name=f"relay {self.folder.path.name}")
            hear = tasks.create_task(self._hear(child), name=f"doorbell {self.folder.path.name}")
            child_exit = await child.exit
            is_out_of_memory = self._memory.explains(child_exit)
            # Its last words are in the socket's buffer. The end of the stream may not come: a process that user code
            # forked and left behind holds it open.
            await asyncio.wait((hear,), timeout=_LAST_WORDS_S)
            hear.cancel()
            await self._conclude(child_exit, is_out_of_memory=is_out_of_memory)
            child.close()
            on_over()
            self._relay.finish()

    async def _hear(self, child: Child) -> None:
        """Ring the relay whenever the child says that its journal has grown."""
        with contextlib.suppress(ConnectionError):
            while data := await child.reader.read(4096):
                self._has_ended_itself = self._has_ended_itself or ENDED in data
                self._relay.ring()

    async def _conclude(self, child_exit: ChildExit, *, is_out_of_memory: bool) -> None:
        """See to it that nothing of a canceled run is left and that the journal has a terminal event."""
        reason = cancel_reason(self.folder)
        if reason is not None or not child_exit.is_known:
            await self._end_group()
        if not self._has_ended_itself and not _has_terminal(self.folder):
            event = terminal_event(child_exit, cancel_reason=reason, is_out_of_memory=is_out_of_memory)
            log.info("run_ended_by_its_process", run_id=self.folder.run_id, how=event.message)
            await self._append(event)
        self.is_over.set()

    async def _append(self, event: Event) -> None:
        """Append to a journal whose writer is gone, however long the disk is full: the run must have an end."""
        event.run.CopyFrom(self.folder.ref)
        while True:
            try:
                repair(self.folder.journal)
                writer = JournalWriter(self.folder.journal)
                try:
                    writer.append(event)
                finally:
                    writer.close()
            except OSError as error:
                log.error("journal_not_writable", run_id=self.folder.run_id, error=str(error))  # noqa: TRY400
                await asyncio.sleep(_DISK_RETRY_S)
            else:
                return

    # ------------------------------------------------------------------------------------------------------ cancel

    async def end(self, *, grace_s: float) -> None:
        """Interrupt, terminate, then kill the run's process group; returns when its process is gone."""
        await self._is_forked.wait()
        child = self._child
        if child is None:
            return
        pid = await child.pid
        for step in cancel_ladder(grace_s):
            _signal_run(pid, step.signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(step.wait_s):
                    await self.is_over.wait()
                    return
        _signal_run(pid, signal.SIGKILL)
        await self.is_over.wait()

    async def _end_group(self) -> None:
        """Kill what a run's process left behind in its group, and see it gone."""
        deadline = time.monotonic() + _GROUP_TIMEOUT_S
        while _signal_group(self.pid, signal.SIGKILL) and time.monotonic() < deadline:  # noqa: ASYNC110  # there is no event to wait on
            # Nobody tells of processes that are not our children.
            await asyncio.sleep(0.02)


async def read_answer(child: Child) -> bytes | None:
    """Read the only frame of a child's channel; None when the child ended without one."""
    try:
        length, kind = read_head(await child.reader.readexactly(HEAD.size))
        answer = await child.reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return answer if kind is FrameKind.ANSWER else None


def _signal_run(pid: int, number: signal.Signals) -> None:
    """Send a signal to a run's process and to all that it started."""
    if pid > 0 and not _signal_group(pid, number):
        # Before its setsid the child is in the zygote's group still.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _signal_group(group: int, number: signal.Signals) -> bool:
    """Send a signal to a process group; False when it is gone, or not there yet."""
    if group <= 0:
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _has_terminal(folder: AttemptFolder) -> bool:
    """Tell whether the last whole record of a journal is a terminal event."""
    reader = JournalReader(folder.journal)
    last: Event | None = None
    while (part := reader.read()).events:
        last = part.events[-1]
        reader.advance(part)
    return last is not None and last.WhichOneof("body") in ("run_succeeded", "run_failed", "run_canceled")
