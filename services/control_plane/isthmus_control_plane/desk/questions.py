"""What only the user's environment can tell: whether a request is valid there, and what a run wrote."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus.v1.instruction_pb2 import Instruction, LogCursor
from isthmus_store import agents
from isthmus_store.record import Agent, Run
from isthmus_store.state import AgentState

from isthmus_control_plane import clock, queue, world
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.locations import serving_hash
from isthmus_control_plane.desk.request import DEFAULT, refuse
from isthmus_control_plane.desk.runs import find, run_request
from isthmus_control_plane.errors import (
    LocationUnavailableError,
    NotFoundError,
    PreconditionError,
    StoppingError,
    Violation,
)
from isthmus_control_plane.facts import AgentKey, LocationKey
from isthmus_control_plane.questions import Questions, Respondent
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.definition import launch_violations

_Result = telemetry_pb2.InstructionResult

#: The wait between two questions for the output of a run that is still going, seconds.
_FOLLOW_PAUSE_S = 0.25
#: How long the output of a run that has ended may stay incomplete: its process may still be writing its last words.
_TAIL_PATIENCE_S = 5.0
#: The most that one answer carries, bytes.
_ANSWER_BYTES = 512 * 1024
_STREAMS = (telemetry_pb2.LOG_STREAM_STDOUT, telemetry_pb2.LOG_STREAM_STDERR)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the definitions say of a request; both are empty when it is valid."""

    violations: tuple[telemetry_pb2.FieldViolation, ...]
    failure: telemetry_pb2.Failure | None


class QuestionDesk:
    """Asks agents on a caller's behalf."""

    def __init__(self, core: Core, *, questions: Questions, memory: world.SyncMemory) -> None:
        self._core = core
        self._questions = questions
        self._memory = memory

    async def validate(self, request: api.LaunchRunRequest, *, time_left_s: float | None) -> Findings:
        """Ask the location's definitions about a request; nothing is started.

        Args:
            request: What would be launched.
            time_left_s: Until the caller's deadline; None without one.

        Raises:
            LocationUnavailableError: No agent serves the location.
            AnswerTimeoutError: The agent is silent.
        """
        refuse(rules.launch_run(request))
        key = LocationKey(request.deployment or DEFAULT, request.location)
        async with self._core.database.read() as tx:
            seen = await world.read_location(tx, key, memory=self._memory, at=clock.now())
            respondent = _serving(key, seen=seen)
            definitions = await self._core.definitions.get(tx, serving_hash(seen, key))
        if definitions is not None:
            known = launch_violations(request, definitions=definitions)
            if known:
                # What the snapshot tells needs no question, and comes in the words that a launch would be refused with.
                return Findings(tuple(_wire(it) for it in known), None)
        wanted = run_request(request)

        def fill(instruction: Instruction) -> None:
            instruction.validate_run.request.CopyFrom(wanted)

        timeout_s = _nearer(self._core.settings.validate_timeout_s, time_left_s)
        result = await self._questions.ask(respondent, timeout_s=timeout_s, fill=fill)
        failure = result.failure if result.HasField("failure") else None
        if result.reason == telemetry_pb2.RUN_REASON_LOCATION_UNAVAILABLE:
            raise LocationUnavailableError(key.name, why=failure.message if failure else "it does not serve")
        return Findings(tuple(result.violations), failure)

    async def logs(
        self, request: api.StreamLogsRequest, *, time_left_s: float | None
    ) -> AsyncGenerator[telemetry_pb2.LogChunk, None]:
        """Yield what a run wrote, from the cursors on; with follow until the run has ended and all was told."""
        refuse(rules.stream_logs(request))
        offsets = {it.stream: it.offset for it in request.cursors} or dict.fromkeys(_STREAMS, 0)
        loop = asyncio.get_running_loop()
        ended_at: float | None = None
        with self._core.hub.run(request.run_id.lower()) as wake:
            while not self._core.hub.is_closed:
                run = await self._run(request)
                if run.state.is_terminal and ended_at is None:
                    ended_at = loop.time()
                answer = await self._fetch(run, offsets=offsets, time_left_s=time_left_s)
                for chunk in answer.chunks:
                    yield chunk
                    offsets[chunk.stream] = chunk.offset + len(chunk.data)
                if answer.chunks:
                    continue
                is_patience_over = ended_at is not None and loop.time() - ended_at > _TAIL_PATIENCE_S
                is_complete = run.state.is_terminal and (answer.is_complete or is_patience_over)
                if is_complete or not request.follow:
                    return
                await wake.wait(at_most_s=_FOLLOW_PAUSE_S)
        raise StoppingError

    async def _run(self, request: api.StreamLogsRequest) -> Run:
        async with self._core.database.read() as tx:
            return await find(tx, deployment=request.deployment or DEFAULT, run_id=request.run_id.lower())

    async def _fetch(
        self, run: Run, *, offsets: dict[telemetry_pb2.LogStream.ValueType, int], time_left_s: float | None
    ) -> telemetry_pb2.LogAnswer:
        if not run.agent:
            # Nothing was started; a run that was canceled in the queue never will be.
            return telemetry_pb2.LogAnswer(is_complete=run.state.is_terminal)
        respondent = await self._run_respondent(run)
        cursors = _cursors(offsets.items())

        def fill(instruction: Instruction) -> None:
            question = instruction.fetch_logs
            question.run.run_id, question.run.attempt = run.run_id, run.attempt
            question.location = run.location
            question.cursors.extend(cursors)
            question.max_bytes = _ANSWER_BYTES

        timeout_s = _nearer(self._core.settings.question_timeout_s, time_left_s)
        result = await self._questions.ask(respondent, timeout_s=timeout_s, fill=fill)
        if result.outcome != _Result.OUTCOME_SUCCEEDED:
            if not run.state.is_terminal:
                # The attempt's files may not be there yet: the launch is on its way.
                return telemetry_pb2.LogAnswer()
            why = result.failure.message or "the agent no longer has it"
            raise PreconditionError(f"runs/{run.run_id}", rule="NO_OUTPUT", why=f"there is no output of the run: {why}")
        return result.logs

    async def _run_respondent(self, run: Run) -> Respondent:
        async with self._core.database.read() as tx:
            agent = await agents.get(tx, deployment=run.deployment, name=run.agent)
        if agent is None:
            raise LocationUnavailableError(run.location, why=f"agent {run.agent} of the run was removed")
        if agent.state not in {AgentState.ONLINE, AgentState.DRAINING}:
            raise LocationUnavailableError(run.location, why=f"agent {run.agent} of the run is {agent.state.value}")
        return _respondent(agent)


def _serving(key: LocationKey, *, seen: world.World) -> Respondent:
    """Return who can answer for a location: the agent that would get its runs."""
    if key not in seen.locations:
        remedy = "Add it with ApplyLocation, or list the locations with ListLocations."
        raise NotFoundError("location", name=key.name, deployment=key.deployment, remedy=remedy)
    verdict = queue.decide(queue.QueuedRun("", key), fleet=seen.fleet)
    if isinstance(verdict, queue.Wait):
        raise LocationUnavailableError(key.name, why=verdict.reason)
    return _respondent(seen.agents[verdict.agent])


def _wire(violation: Violation) -> telemetry_pb2.FieldViolation:
    return telemetry_pb2.FieldViolation(field=violation.field, description=violation.description)


def _respondent(agent: Agent) -> Respondent:
    return Respondent(AgentKey(agent.deployment, agent.name), agent.broker_user)


def _cursors(offsets: Iterable[tuple[telemetry_pb2.LogStream.ValueType, int]]) -> list[LogCursor]:
    return [LogCursor(stream=stream, offset=offset) for stream, offset in offsets]


def _nearer(limit_s: float, time_left_s: float | None) -> float:
    """Return the nearer of our limit and the caller's deadline, so that our answer comes before his deadline."""
    return limit_s if time_left_s is None else max(0.05, min(limit_s, time_left_s - 0.1))
