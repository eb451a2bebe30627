"""What only the user's environment can tell: whether a request is valid there."""

from dataclasses import dataclass
from uuid import uuid4

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_store.record.agent import Agent

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.runs import run_request
from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.errors import (
    LocationUnavailableError,
    Violation,
)
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import DEFAULT, AgentKey, LocationKey
from isthmus_control_plane.questions import Questions, Respondent
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.launch import launch_violations, resolve_job
from isthmus_control_plane.validation.query_resolution import with_selected_assets
from isthmus_control_plane.validation.refusal import refuse


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
            if key not in seen.locations:
                raise await no_such_location(tx, key)
            respondent = _serving(key, seen=seen)
            definitions = await self._core.definitions.get(tx, seen.serving_hash(key))
        request = with_selected_assets(request, definitions=definitions)
        if definitions is not None:
            known = launch_violations(request, definitions=definitions)
            if known:
                # What the snapshot tells needs no question, and comes in the words that a launch would be refused with.
                return Findings(tuple(_wire(it) for it in known), None)
        wanted = run_request(request)
        if definitions is not None:
            # As a launch has it: of selected assets the job is found out.
            wanted.job_name = resolve_job(request, definitions=definitions)

        def fill(instruction: Instruction) -> None:
            instruction.validate_run.request.CopyFrom(wanted)

        timeout_s = nearer(self._core.settings.validate_timeout_s, time_left_s)
        result = await self._questions.ask(respondent, timeout_s=timeout_s, fill=fill)
        failure = result.failure if result.HasField("failure") else None
        if result.reason == telemetry_pb2.RUN_REASON_LOCATION_UNAVAILABLE:
            raise LocationUnavailableError(key.name, why=failure.message if failure else "it does not serve")
        return Findings(tuple(result.violations), failure)


def _serving(key: LocationKey, *, seen: world.World) -> Respondent:
    """Return who can answer for a location: one of the agents that would get its runs."""
    verdict = queue.decide(key, fleet=seen.fleet)
    if isinstance(verdict, queue.Wait):
        raise LocationUnavailableError(key.name, why=verdict.reason)
    agents = [it.key for it in verdict.agents]
    return respondent_of(seen.agents[queue.any_of(agents, turn=str(uuid4()))])


def _wire(violation: Violation) -> telemetry_pb2.FieldViolation:
    return telemetry_pb2.FieldViolation(field=violation.field, description=violation.description)


def respondent_of(agent: Agent) -> Respondent:
    """Return how to ask an agent."""
    return Respondent(AgentKey(agent.deployment, agent.name), agent.broker_user)


def nearer(limit_s: float, time_left_s: float | None) -> float:
    """Return the nearer of our limit and the caller's deadline, so that our answer comes before his deadline."""
    return limit_s if time_left_s is None else max(0.05, min(limit_s, time_left_s - 0.1))
