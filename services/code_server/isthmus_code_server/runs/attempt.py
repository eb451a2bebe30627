"""One attempt while it lives here: its child's channel, its journal on the way to the broker, its end."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from functools import partial

from isthmus.v1.code_server_pb2 import StartRunResponse
from isthmus.v1.telemetry_pb2 import Event, RunReason
from isthmus_broker.relay import Relay
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_lifecycle.leaves import leaves
from isthmus_lifecycle.log import get_logger
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.backlog import JournalBacklog
from isthmus_spool.journal import JournalWriter, Repair, is_terminal, repair

from isthmus_code_server.attempts.cancel_marker import cancel_reason, request_cancel
from isthmus_code_server.attempts.ending import (
    UNSEEN_EXIT,
    ChildExit,
    broken_off,
    cancel_ladder,
    tell_left,
    terminal_event,
)
from isthmus_code_server.attempts.errors import AttemptFailedError
from isthmus_code_server.attempts.memory import MemoryWatch
from isthmus_code_server.runs.group import signal_group, signal_run
from isthmus_code_server.runs.standstill import StandstillRule, standstill_event, wait_for_standstill
from isthmus_code_server.runs.zygote_link import Child
from isthmus_code_server.zygote.wire import HEAD, LAST_WORD, MAX_ANSWER_BYTES, FrameKind, fault_of, read_head

log = get_logger(__name__)

#: How long what a run left of its process group may take to vanish after SIGKILL, seconds.
_GROUP_TIMEOUT_S = 1.0
#: How long a child's last words may take to be read once it is gone, seconds.
_LAST_WORDS_S = 0.1
#: How often a full disk is asked again to take the terminal event, seconds.
_DISK_RETRY_S = 1.0


class LiveAttempt:
    """An attempt that this server started."""

    def __init__(
        self,
        folder: AttemptFolder,
        *,
        telemetry: TelemetryPublisher,
        memory: MemoryWatch,
        still: StandstillRule,
    ) -> None:
        self.folder = folder
        self.started_at = time.time()
        self.pid = 0
        self._telemetry = telemetry
        self._backlog = JournalBacklog(folder, holds_end=True)
        self._relay = Relay(self._backlog, telemetry)
        self._memory = memory
        self._still = still
        self._child: Child | None = None
        self._is_forked = asyncio.Event()
        #: Why the attempt is to end; None while nobody asked.
        self._cancel_reason: RunReason.ValueType | None = None
        #: Why the run's process gave up its journal; empty while it did not.
        self._fault = ""
        #: What StartRun answers; also to a second call that comes meanwhile.
        self.verdict: asyncio.Future[StartRunResponse] = asyncio.get_running_loop().create_future()
        #: Set once the process is gone and the terminal event is in the journal.
        self.is_over = asyncio.Event()

    async def begin(self, child: Child) -> StartRunResponse | None:
        """Hear the child's verdict; None when it ended without one."""
        self._child = child
        self._is_forked.set()
        answer = await read_answer(child)
        self.pid = await child.forked()
        return StartRunResponse.FromString(answer) if answer is not None else None

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended, though its end may not be written yet."""
        return self._child is not None and self._child.is_gone

    @property
    def is_cancel_requested(self) -> bool:
        """Whether someone asked for the attempt to end."""
        return self._cancel_reason is not None

    def settle(self) -> None:
        """Say that this server has nothing more to do with the attempt: whoever waits for its end need not."""
        self.is_over.set()
        self._is_forked.set()
        if self._child is not None:
            # Also where the watch was given up, as when the server ends before the attempt does.
            self._child.close()
        if not self.verdict.done():
            self.verdict.set_exception(AttemptFailedError(self.folder.run_id, attempt=self.folder.attempt))

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
            still = tasks.create_task(self._tell_standstill(), name=f"standstill {self.folder.path.name}")
            child_exit = await child.ended()
            still.cancel()
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
                self._fault = fault_of(data) or self._fault
                self._relay.ring()
                if LAST_WORD in data and not self._is_to_end():
                    # It takes the kernel some milliseconds to give the process's memory back: nobody has to wait for that.
                    # Whether its end can be read there is looked at when it is gone.
                    self._backlog.release_end()
                    self._relay.hurry()

    def _is_to_end(self) -> bool:
        return self.is_cancel_requested or cancel_reason(self.folder) is not None

    async def _tell_standstill(self) -> None:
        """Say in the run's log, once, that it stands still; it may still come to its end, or be canceled."""
        await wait_for_standstill(self.pid, journal=self.folder.journal, still_s=self._still.after_s)
        event = standstill_event(still_s=self._still.after_s, is_forked=self._still.is_forked)
        event.run.CopyFrom(self.folder.ref)
        log.warning("run_stands_still", run_id=self.folder.run_id, pid=self.pid)
        try:
            writer = JournalWriter(self.folder.journal)
            try:
                # Its own process appends nothing meanwhile: it stands still.
                writer.append(event)
            finally:
                writer.close()
        except OSError as error:
            log.warning("standstill_not_told", run_id=self.folder.run_id, error=str(error))
        self._relay.ring()

    async def _conclude(self, child_exit: ChildExit, *, is_out_of_memory: bool) -> None:
        """See to it that nothing of a canceled run is left and that the journal has a terminal event."""
        reason = self._cancel_reason if self._cancel_reason is not None else cancel_reason(self.folder)
        if reason is not None or not child_exit.is_known:
            await self._end_group()
        found = Repair() if self._backlog.has_confirmed_end else await self._repaired()
        # The broker may have got the end meanwhile, and the journal may be gone with it.
        if not self._backlog.has_confirmed_end and (found.last is None or not is_terminal(found.last)):
            event = terminal_event(child_exit, cancel_reason=reason, is_out_of_memory=is_out_of_memory)
            fault = self._fault or _damage(found, child_exit)
            if fault and reason is None:
                event = broken_off(fault, child_exit)
            log.info("run_ended_by_its_process", run_id=self.folder.run_id, how=event.message)
            await self._append(event)
        self._backlog.release_end(partial(tell_left, left=child_exit.left))
        self.is_over.set()

    async def _repaired(self) -> Repair:
        """Cut off what is no event at the end of a journal whose writers are gone; in a thread: it may be long."""
        offset, _ = self.folder.published()
        return await asyncio.to_thread(repair, self.folder.journal, offset=offset)

    async def _append(self, event: Event) -> None:
        """Append to a journal whose writer is gone, however long the disk is full: the run must have an end."""
        event.run.CopyFrom(self.folder.ref)
        while True:
            try:
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

    async def break_off(self, error: Exception, *, on_over: Callable[[], None]) -> None:
        """End an attempt that cannot be carried on: its process is killed, and its journal tells why.

        Args:
            error: What nobody foresaw.
            on_over: Called as soon as the process is gone and its terminal event is in the journal.
        """
        child_exit = await self.kill()
        found = await self._repaired()
        if not self._backlog.has_confirmed_end and (found.last is None or not is_terminal(found.last)):
            await self._append(broken_off(str(leaves(error)[0]) or type(error).__name__, child_exit))
        self.is_over.set()
        on_over()
        relay = Relay(JournalBacklog(self.folder), self._telemetry)
        relay.finish()
        await relay.run()

    async def kill(self) -> ChildExit:
        """Kill the attempt's process, if there is one; returns, once it is gone, how it ended."""
        if self._child is None:
            return UNSEEN_EXIT
        self._child.abandon()
        child_exit = await self._child.ended()
        await self._end_group()
        return child_exit

    # ------------------------------------------------------------------------------------------------------ cancel

    def request_end(self, reason: "RunReason.ValueType") -> None:
        """Say that the attempt is to end, and why; the first reason stands."""
        if self._cancel_reason is None:
            self._cancel_reason = reason
        try:
            request_cancel(self.folder, reason=self._cancel_reason)
        except OSError as error:
            # The run's process does not learn of it then, and ends all the same.
            log.warning("cancel_not_marked", run_id=self.folder.run_id, error=str(error))

    async def end(self, *, grace_s: float) -> None:
        """Interrupt, terminate, then kill the run's process group; returns when its process is gone."""
        await self._is_forked.wait()
        child = self._child
        if child is None:
            return
        pid = await child.forked()
        for step in cancel_ladder(grace_s):
            signal_run(pid, step.signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(step.wait_s):
                    await self.is_over.wait()
                    return
        signal_run(pid, signal.SIGKILL)
        await self.is_over.wait()

    async def _end_group(self) -> None:
        """Kill what a run's process left behind in its group, and see it gone."""
        deadline = time.monotonic() + _GROUP_TIMEOUT_S
        while signal_group(self.pid, signal.SIGKILL) and time.monotonic() < deadline:  # noqa: ASYNC110  # there is no event to wait on
            # Nobody tells of processes that are not our children.
            await asyncio.sleep(0.02)


async def read_answer(child: Child) -> bytes | None:
    """Read the only frame of a child's channel; None when the child ended without one, or said something else."""
    try:
        length, kind = read_head(await child.reader.readexactly(HEAD.size))
        if kind is FrameKind.ANSWER and length <= MAX_ANSWER_BYTES:
            return await child.reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except ValueError as error:
        log.warning("child_said_nonsense", error=str(error))
    child.abandon()
    return None


def _damage(found: Repair, child_exit: ChildExit) -> str:
    """Say what is wrong with a journal that has no terminal event; nothing when it is only torn, as by a kill."""
    if found.damage:
        return f"its journal is damaged: {found.damage}"
    # Who exits cleanly has told its end.
    return (
        f"its journal is damaged: {found.cut_bytes} bytes are no event"
        if found.cut_bytes and child_exit.is_clean
        else ""
    )
