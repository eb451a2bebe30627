"""Starts attempts, each once; keeps the living; ends them on request."""

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import Message
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunReason, RunRef
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_spool.attempt_folder import AttemptFolder, later_attempt

from isthmus_code_server.attempts.ending import UNSEEN_EXIT, usable_grace
from isthmus_code_server.attempts.errors import (
    AttemptFailedError,
    AttemptFencedError,
    AttemptFilesError,
    DedicatedElsewhereError,
    LateCallError,
)
from isthmus_code_server.attempts.memory import MemoryWatch
from isthmus_code_server.definitions.clock import timestamp
from isthmus_code_server.errors import ChildLostError, NotLoadedError, ZygoteLostError
from isthmus_code_server.runs.attempt import LiveAttempt, read_answer
from isthmus_code_server.runs.evaluations import Evaluations
from isthmus_code_server.runs.standstill import STILL_S, StandstillRule
from isthmus_code_server.runs.zygote_link import ZygoteLink
from isthmus_code_server.zygote.wire import FrameKind, StartMethod

log = get_logger(__name__)

#: (run_id, attempt)
_Key = tuple[str, int]


@dataclass(kw_only=True)
class Supervisor:
    """The runs of one code server. Its tasks live in the given group."""

    runs_dir: Path
    zygote: ZygoteLink
    telemetry: TelemetryPublisher
    tasks: asyncio.TaskGroup
    #: How long a run may take to clean up where the request leaves it open, seconds.
    cancel_grace_s: float
    #: Whether one run is taken, and no other.
    takes_one_run: bool = False
    #: How long a run must have stood still before its log says so, seconds.
    still_after_s: float = STILL_S
    #: Set, where one run is taken, once it is over and all of its events are confirmed.
    spent: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    memory: MemoryWatch = field(default_factory=MemoryWatch, init=False)
    _live: dict[_Key, LiveAttempt] = field(default_factory=dict, init=False)
    #: Attempts whose processes are gone, with events that are not confirmed yet: the terminal one among them.
    _ended: dict[_Key, LiveAttempt] = field(default_factory=dict, init=False)
    #: Attempts whose events are not all confirmed yet, the living among them.
    _watched: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _taken: _Key | None = field(default=None, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _boundary: Boundary = field(default_factory=lambda: Boundary("attempt"), init=False)

    def __post_init__(self) -> None:
        self.evaluations = Evaluations(self.zygote)
        # One at a time, and apart from the others: a large one takes a processor for seconds.
        self.automations = Evaluations(self.zygote, at_once=1)
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    # ------------------------------------------------------------------------------------------------------- start

    async def start(self, request: RunRequest, *, is_late: bool = False) -> pb.StartRunResponse:
        """Start an attempt, once: a later call for it tells of the first.

        Args:
            request: The attempt, and what it executes.
            is_late: Whether the time in which it may be started is over: then it is only told whether it was.

        Raises:
            LateCallError: It was not started, and is not to be started any more by this call.
            NotLoadedError: The definitions are not loaded, or the server is stopping.
            ZygoteLostError: The definitions are gone.
            AttemptFencedError: A later attempt of the run was seen already.
            AttemptFilesError: The attempt's files cannot be written.
            AttemptFailedError: It could not be started for a reason that nobody foresaw.
            DedicatedElsewhereError: The server takes one run, and has taken another.
        """
        folder = AttemptFolder.for_run(self.runs_dir, request.run)
        live = self._live.get((folder.run_id, folder.attempt))
        if live is not None:
            return _as_started_before(await asyncio.shield(live.verdict))
        if self._is_stopping:
            raise NotLoadedError("stopped")
        if self.zygote.phase != "ready":
            raise NotLoadedError(self.zygote.phase)
        if is_late and not folder.is_claimed:
            raise LateCallError(folder.run_id, attempt=folder.attempt)
        self._check_fence(folder)
        self._check_dedication(folder)
        with _files_of(folder):
            is_claimed = folder.claim()
        if not is_claimed:
            return pb.StartRunResponse(accepted=pb.RunAccepted(was_started_before=True))
        self._taken = (folder.run_id, folder.attempt)
        return await self._start_claimed(folder, request)

    def _check_fence(self, folder: AttemptFolder) -> None:
        latest = later_attempt(folder)
        if latest is not None:
            raise AttemptFencedError(folder.run_id, attempt=folder.attempt, latest=latest)

    def _check_dedication(self, folder: AttemptFolder) -> None:
        taken = self._taken
        if self.takes_one_run and taken is not None and taken != (folder.run_id, folder.attempt):
            raise DedicatedElsewhereError(taken[0], attempt=taken[1])

    async def _start_claimed(self, folder: AttemptFolder, request: RunRequest) -> pb.StartRunResponse:
        start = self.zygote.start
        is_forked = start is None or start.method is StartMethod.FORK
        still = StandstillRule(after_s=self.still_after_s, is_forked=is_forked)
        attempt = LiveAttempt(folder, telemetry=self.telemetry, memory=self.memory, still=still)
        self._live[(folder.run_id, folder.attempt)] = attempt
        self._is_idle.clear()
        # In a task of the server's own: a caller that gives up must not leave an attempt that nobody watches.
        task = self.tasks.create_task(self._carry(attempt, request), name=f"run {folder.path.name}")
        self._watched.add(task)
        task.add_done_callback(self._forget_task)
        return await asyncio.shield(attempt.verdict)

    async def _carry(self, attempt: LiveAttempt, request: RunRequest) -> None:
        """Take an attempt from its claim to the last confirm of its events, whatever happens to it."""
        folder = attempt.folder
        key = (folder.run_id, folder.attempt)
        try:
            with self._boundary.guard(run_id=folder.run_id, attempt=folder.attempt) as fate:
                await self._take_through(attempt, request)
            if fate.error is not None:
                with self._boundary.guard(run_id=folder.run_id, attempt=folder.attempt):
                    await self._break_off(attempt, fate.error)
        finally:
            self._live.pop(key, None)
            self._ended.pop(key, None)
            attempt.settle()
            if self.takes_one_run and self._taken == key:
                self.spent.set()

    async def _take_through(self, attempt: LiveAttempt, request: RunRequest) -> None:
        folder = attempt.folder
        try:
            verdict = await self._begin(attempt, request)
        except (NotLoadedError, ZygoteLostError, AttemptFilesError) as error:
            # Nothing was forked: the claim goes, so that the same launch may be tried elsewhere.
            self._withdraw(attempt)
            attempt.verdict.set_exception(error)
            return
        if verdict.HasField("rejected"):
            self._withdraw(attempt)
            attempt.verdict.set_result(verdict)
            return
        log.info("run_started", run_id=folder.run_id, attempt=folder.attempt, pid=attempt.pid)
        attempt.verdict.set_result(verdict)
        await attempt.watch(lambda: self._over(attempt))
        folder.drop_journal()

    async def _break_off(self, attempt: LiveAttempt, error: Exception) -> None:
        """End the one attempt that an error concerns."""
        folder = attempt.folder
        if attempt.verdict.done():
            await attempt.break_off(error, on_over=lambda: self._over(attempt))
            folder.drop_journal()
            return
        await attempt.kill()
        self._withdraw(attempt)
        attempt.verdict.set_exception(AttemptFailedError(folder.run_id, attempt=folder.attempt))

    async def _begin(self, attempt: LiveAttempt, request: RunRequest) -> pb.StartRunResponse:
        folder = attempt.folder
        with _files_of(folder):
            folder.request.write_bytes(request.SerializeToString())
        child = await self.zygote.fork(FrameKind.START_RUN, str(folder.path).encode())
        verdict = await attempt.begin(child)
        if verdict is None and not attempt.is_cancel_requested:
            child_exit = await child.ended()
            lost = ChildLostError("validate the run", exit_code=child_exit.exit_code, signal=child_exit.signal)
            verdict = pb.StartRunResponse(rejected=pb.RunRejected())
            verdict.rejected.failure.error_class = type(lost).__name__
            verdict.rejected.failure.message = str(lost)
        if verdict is None:
            # Canceled before it could answer: it counts as started, and its journal tells of its end.
            verdict = pb.StartRunResponse(accepted=pb.RunAccepted(pid=attempt.pid))
        if verdict.HasField("rejected"):
            await child.ended()
        return verdict

    def _withdraw(self, attempt: LiveAttempt) -> None:
        """Take back the claim of an attempt of which nothing was started."""
        shutil.rmtree(attempt.folder.path, ignore_errors=True)
        self._taken = None
        self._live.pop((attempt.folder.run_id, attempt.folder.attempt), None)

    def _over(self, attempt: LiveAttempt) -> None:
        key = (attempt.folder.run_id, attempt.folder.attempt)
        if self._live.pop(key, None) is not None:
            self._ended[key] = attempt
            log.info("run_over", run_id=key[0], attempt=key[1])

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self._watched.discard(task)
        if not self._watched:
            self._is_idle.set()

    # ------------------------------------------------------------------------------------------------- ask and end

    async def ask(self, kind: FrameKind, request: Message, *, question: str) -> bytes:
        """Have a forked child answer a question.

        Raises:
            NotLoadedError: The definitions are not loaded.
            ZygoteLostError: The definitions are gone.
            ChildLostError: The child ended before it answered.
        """
        child = await self.zygote.fork(kind, request.SerializeToString())
        answer: bytes | None = None
        try:
            answer = await read_answer(child)
            child_exit = UNSEEN_EXIT if answer is not None else await child.ended()
        finally:
            if answer is None:
                # Also where the caller has given up: nobody wants to know any more.
                child.abandon()
            child.close()
        if answer is None:
            raise ChildLostError(question, exit_code=child_exit.exit_code, signal=child_exit.signal)
        return answer

    async def cancel(self, run: RunRef, *, grace_s: float = 0.0, reason: "RunReason.ValueType | None" = None) -> bool:
        """End an attempt; returns, once its process is gone, whether it was there.

        Args:
            run: The attempt.
            grace_s: How long it may take to clean up, seconds; 0 for the server's default.
            reason: Why; by request where it is left out.
        """
        attempt = self._live.get((run.run_id, run.attempt))
        if attempt is None:
            return False
        attempt.request_end(reason or RunReason.RUN_REASON_CANCELED_BY_REQUEST)
        log.info("run_cancel_requested", run_id=run.run_id, attempt=run.attempt)
        # In a task of the server's own: a caller that gives up must not leave a run that was asked, and never made, to end.
        ending = self.tasks.create_task(self._end(attempt, grace_s=usable_grace(grace_s, default=self.cancel_grace_s)))
        await asyncio.shield(ending)
        return True

    async def _end(self, attempt: LiveAttempt, *, grace_s: float) -> None:
        with self._boundary.guard(run_id=attempt.folder.run_id, attempt=attempt.folder.attempt):
            await attempt.end(grace_s=grace_s)

    async def stop(self, *, flush_timeout_s: float) -> None:
        """End every run, then give their events a time to reach the broker; the rest waits in the journals."""
        self._is_stopping = True
        self.evaluations.close()
        self.automations.close()
        reason = RunReason.RUN_REASON_CODE_SERVER_STOPPED
        async with asyncio.TaskGroup() as cancels:
            for attempt in list(self._live.values()):
                # What ended by itself, or with the zygote, is no cancellation.
                if not attempt.is_gone:
                    cancels.create_task(self.cancel(attempt.folder.ref, reason=reason))
        try:
            async with asyncio.timeout(flush_timeout_s):
                await self._is_idle.wait()
        except TimeoutError:
            log.warning("events_left_in_journals", attempts=len(self._watched))
            for task in self._watched:
                task.cancel()

    # -------------------------------------------------------------------------------------------------------- list

    def active_runs(self) -> list[pb.ActiveRun]:
        """List the attempts that are not known to be over: they live, or their end is not confirmed published yet.

        An attempt that nobody vouches for is taken for lost, and while the broker is away its end is known here alone.
        """
        return [
            pb.ActiveRun(run=attempt.folder.ref, pid=attempt.pid, started_at=timestamp(attempt.started_at))
            for _, attempt in sorted({**self._live, **self._ended}.items())
        ]

    def is_live(self, folder: AttemptFolder) -> bool:
        """Tell whether an attempt's process lives."""
        return (folder.run_id, folder.attempt) in self._live

    @property
    def live(self) -> Mapping[_Key, LiveAttempt]:
        """The attempts whose processes live."""
        return self._live


@contextmanager
def _files_of(folder: AttemptFolder) -> Iterator[None]:
    """Say of an error in writing an attempt's files whose they are."""
    try:
        yield
    except OSError as error:
        cause = error.strerror or str(error)
        raise AttemptFilesError(folder.run_id, attempt=folder.attempt, cause=cause) from error


def _as_started_before(verdict: pb.StartRunResponse) -> pb.StartRunResponse:
    answer = pb.StartRunResponse()
    answer.CopyFrom(verdict)
    if answer.HasField("accepted"):
        answer.accepted.was_started_before = True
    return answer
