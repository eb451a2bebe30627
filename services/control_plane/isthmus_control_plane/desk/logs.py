"""What a run wrote, fetched from the user's environment as it is asked for; nothing of it is kept here."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import Instruction, LogCursor
from isthmus.v1.telemetry_pb2 import InstructionResult, LogAnswer, LogChunk, LogGap
from isthmus_broker.log_cursors import next_cursors, starting_cursors
from isthmus_store import agents
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState

from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.questions import nearer, respondent_of
from isthmus_control_plane.desk.runs import find
from isthmus_control_plane.errors import (
    LocationUnavailableError,
    PreconditionError,
    StoppingError,
    TransientControlPlaneError,
    Violation,
)
from isthmus_control_plane.key import DEFAULT
from isthmus_control_plane.questions import Questions, Respondent
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

#: How long an agent keeps a question while nothing is written, seconds: what a lost question costs a reader.
_WAIT_S = 3.0
#: The wait before an agent is asked again that could not answer, or has nothing yet, seconds.
_PAUSE_S = 0.25
#: How long the output of a run that has ended may stay incomplete: its process may still be writing its last words.
_TAIL_PATIENCE_S = 5.0
#: The most that one answer carries, bytes.
_ANSWER_BYTES = 512 * 1024


@dataclass(kw_only=True)
class _Reader:
    """How far one caller's stream has come."""

    request: api.StreamLogsRequest
    time_left_s: float | None
    cursors: list[LogCursor]
    #: On the loop's clock; None while the run has not ended.
    ended_at: float | None = None
    #: How long the last question took.
    has_waited_s: float = 0.0
    clock: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @property
    def told_until(self) -> int:
        """How far the furthest file was told, bytes."""
        return max((cursor.offset for cursor in self.cursors), default=0)

    @property
    def is_following(self) -> bool:
        """Whether the caller waits for what is not written yet; a value is whole before anybody can ask for it."""
        return self.request.follow and not self.request.value_sha256

    def note(self, run: Run) -> None:
        """Take note of the run's end."""
        if run.state.is_terminal and self.ended_at is None:
            self.ended_at = self.clock.time()

    def is_over(self, answer: LogAnswer) -> bool:
        """Tell whether nothing will follow an answer that was empty."""
        if not self.is_following or (answer.is_complete and (self.ended_at is not None or self.request.step_key)):
            return True
        return self.is_patience_over

    @property
    def is_patience_over(self) -> bool:
        """Whether the run ended so long ago that its last words need not be waited for."""
        return self.ended_at is not None and self.clock.time() - self.ended_at > _TAIL_PATIENCE_S


class LogDesk:
    """Reads output on a caller's behalf."""

    def __init__(self, core: Core, *, questions: Questions) -> None:
        self._core = core
        self._questions = questions

    async def stream(
        self, request: api.StreamLogsRequest, *, time_left_s: float | None
    ) -> AsyncGenerator[LogChunk, None]:
        """Yield what a run wrote, from the cursors on; with follow until it has ended and all was told.

        With follow an agent that is away, or silent, is waited for while the run has not ended.

        Raises:
            LocationUnavailableError: The run's agent cannot be asked.
            AnswerTimeoutError: It is silent.
            PreconditionError: The output is not there any more, and nothing of it was told.
            StoppingError: The service stops; the caller goes on elsewhere from the last offsets that it has.
        """
        refuse(rules.stream_logs(request))
        reader = _Reader(request=request, time_left_s=time_left_s, cursors=starting_cursors(request.cursors))
        with self._core.hub.run(request.run_id.lower()) as wake:
            while not self._core.hub.is_closed:  # pauses: the agent is asked
                answer = await self._next(reader)
                for chunk in answer.chunks if answer is not None else ():
                    yield chunk
                if answer is None:
                    await wake.wait(at_most_s=_PAUSE_S)
                elif answer.chunks:
                    reader.cursors = next_cursors(reader.cursors, answer.chunks)
                    if _is_removed(answer.chunks):
                        return
                elif reader.is_over(answer):
                    return
                elif reader.has_waited_s < _PAUSE_S:
                    # The agent did not wait: it is older than that, or has too many to wait for.
                    await wake.wait(at_most_s=_PAUSE_S)
        raise StoppingError

    async def _next(self, reader: _Reader) -> LogAnswer | None:
        """Ask once; None when it could not be answered now and may be later."""
        run = await self._run(reader.request)
        reader.note(run)
        if not run.agent:
            # Nothing was started; a run that was canceled in the queue never will be.
            is_over = run.state.is_terminal or not reader.is_following
            return LogAnswer(is_complete=True) if is_over else None
        try:
            result = await self._ask(run, reader)
        except TransientControlPlaneError:
            if not reader.is_following or reader.is_patience_over:
                raise
            return None
        return _answer_of(result, run=run, reader=reader)

    async def _run(self, request: api.StreamLogsRequest) -> Run:
        async with self._core.database.read() as tx:
            return await find(tx, deployment=request.deployment or DEFAULT, run_id=request.run_id.lower())

    async def _ask(self, run: Run, reader: _Reader) -> InstructionResult:
        respondent = await self._respondent(run)
        is_waiting = reader.is_following and not run.state.is_terminal

        def fill(instruction: Instruction) -> None:
            question = instruction.fetch_logs
            question.run.run_id, question.run.attempt = run.run_id, run.attempt
            question.location = run.location
            question.cursors.extend(reader.cursors)
            question.max_bytes = _ANSWER_BYTES
            question.step_key = reader.request.step_key
            question.value_sha256 = reader.request.value_sha256
            question.wait_s = _WAIT_S if is_waiting else 0.0

        timeout_s = nearer(self._core.settings.question_timeout_s, reader.time_left_s)
        asked_at = reader.clock.time()
        result = await self._questions.ask(respondent, timeout_s=timeout_s, fill=fill)
        reader.has_waited_s = reader.clock.time() - asked_at
        return result

    async def _respondent(self, run: Run) -> Respondent:
        async with self._core.database.read() as tx:
            agent = await agents.get(tx, deployment=run.deployment, name=run.agent)
        if agent is None:
            raise LocationUnavailableError(run.location, why=f"agent {run.agent} of the run was removed")
        if agent.state not in {AgentState.ONLINE, AgentState.DRAINING}:
            raise LocationUnavailableError(run.location, why=f"agent {run.agent} of the run is {agent.state.value}")
        return respondent_of(agent)


def _answer_of(result: InstructionResult, *, run: Run, reader: _Reader) -> LogAnswer | None:
    if result.outcome == InstructionResult.OUTCOME_SUCCEEDED:
        _check_value(result.logs, run=run, reader=reader)
        return result.logs
    refuse([Violation(fault.field, fault.description) for fault in result.violations])
    if reader.told_until:
        return LogAnswer(chunks=[_removed(cursor) for cursor in reader.cursors if cursor.offset])
    if not run.state.is_terminal:
        # The attempt's files may not be there yet: the launch is on its way.
        return None if reader.is_following else LogAnswer()
    why = result.failure.message or "the agent no longer has it"
    raise PreconditionError(f"runs/{run.run_id}", rule="NO_OUTPUT", why=f"there is no output of the run: {why}")


def _check_value(answer: LogAnswer, *, run: Run, reader: _Reader) -> None:
    """Refuse output that an agent answers which does not know of values yet."""
    asked = reader.request.value_sha256
    if any(chunk.value_sha256 != asked for chunk in answer.chunks):
        why = f"agent {run.agent} of the run is too old to give the values that were cut out of events"
        raise PreconditionError(f"runs/{run.run_id}", rule="AGENT_TOO_OLD", why=why)


def _removed(cursor: LogCursor) -> LogChunk:
    gap = LogGap(reason=LogGap.REASON_REMOVED, told_until=cursor.offset)
    return LogChunk(stream=cursor.stream, step_key=cursor.step_key, offset=cursor.offset, gap=gap)


def _is_removed(chunks: Sequence[LogChunk]) -> bool:
    return any(chunk.gap.reason == LogGap.REASON_REMOVED for chunk in chunks)
