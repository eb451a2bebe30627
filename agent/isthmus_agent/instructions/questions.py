"""ValidateRun, EvaluateSchedule, EvaluateSensor: what is asked of a location's definitions, and changes nothing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.code_server.client import CodeServerClient
from isthmus_agent.errors import AgentError, LocationRefusedError, TooManyQuestionsError
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.outcome import Failed, Later, Outcome, Succeeded, Violation
from isthmus_agent.instructions.retry import Retry, after_failure
from isthmus_agent.locations.registry import LocationRegistry

T = TypeVar("T")

#: How long user code may take to answer when the question has no deadline, seconds.
_ANSWER_TIMEOUT_S = 60.0
#: So many questions may be under way on one agent, and to one of its locations.
MOST_UNDER_WAY = 1000
MOST_OF_ONE_LOCATION = 200


class QuestionHandler:
    """Asks the server that serves a location."""

    def __init__(self, registry: LocationRegistry, *, location_wait_s: float) -> None:
        """Wait up to `location_wait_s` for a location that is loading."""
        self._registry = registry
        self._location_wait_s = location_wait_s
        self._under_way: Counter[str] = Counter()

    async def validate(self, body: instruction.ValidateRun, envelope: Envelope) -> Outcome | Later:
        """Ask whether a request is valid."""

        async def call(client: CodeServerClient, timeout_s: float) -> Outcome:
            response = await client.validate_run(body.request, timeout_s=timeout_s)
            return _validation(response)

        return self._later(body.request.location, call, envelope=envelope)

    async def schedule(self, body: instruction.EvaluateSchedule, envelope: Envelope) -> Outcome | Later:
        """Ask a schedule which runs it wants."""
        request = code_server.EvaluateScheduleRequest(
            schedule_name=body.schedule_name,
            location=body.location,
            scheduled_at=body.scheduled_at if body.HasField("scheduled_at") else None,
        )

        async def call(client: CodeServerClient, timeout_s: float) -> Outcome:
            response = await client.evaluate_schedule(request, timeout_s=timeout_s)
            evaluation = response.evaluation if response.HasField("evaluation") else None
            if response.WhichOneof("result") == "answer":
                return Succeeded(response.answer, evaluation=evaluation)
            return Failed(telemetry.RUN_REASON_USER_ERROR, failure=response.failure, evaluation=evaluation)

        return self._later(body.location, call, envelope=envelope)

    async def sensor(self, body: instruction.EvaluateSensor, envelope: Envelope) -> Outcome | Later:
        """Ask a sensor which runs it wants."""
        request = code_server.EvaluateSensorRequest(
            sensor_name=body.sensor_name,
            location=body.location,
            cursor=body.cursor,
            last_run_key=body.last_run_key,
            last_tick_at=body.last_tick_at if body.HasField("last_tick_at") else None,
            last_started_at=body.last_started_at if body.HasField("last_started_at") else None,
            automation=body.automation if body.HasField("automation") else None,
        )

        async def call(client: CodeServerClient, timeout_s: float) -> Outcome:
            response = await client.evaluate_sensor(request, timeout_s=timeout_s)
            evaluation = response.evaluation if response.HasField("evaluation") else None
            if response.WhichOneof("result") == "answer":
                return Succeeded(response.answer, evaluation=evaluation)
            return Failed(telemetry.RUN_REASON_USER_ERROR, failure=response.failure, evaluation=evaluation)

        return self._later(body.location, call, envelope=envelope)

    def _later(
        self,
        location: str,
        call: Callable[[CodeServerClient, float], Awaitable[Outcome]],
        *,
        envelope: Envelope,
    ) -> Outcome | Later:
        """Ask beside the queue: what is behind the question does not wait for its location."""
        if self._under_way[location] >= MOST_OF_ONE_LOCATION or self._under_way.total() >= MOST_UNDER_WAY:
            return Failed.of(telemetry.RUN_REASON_LOCATION_UNAVAILABLE, TooManyQuestionsError(location=location))

        async def find() -> Outcome:
            self._under_way[location] += 1
            try:
                return await self._ask(location, call, envelope=envelope)
            finally:
                self._under_way[location] -= 1
                if not self._under_way[location]:
                    del self._under_way[location]
                self._under_way += Counter()

        return Later(find)

    async def _ask(
        self,
        location: str,
        call: Callable[[CodeServerClient, float], Awaitable[Outcome]],
        *,
        envelope: Envelope,
    ) -> Outcome:
        clock = asyncio.get_running_loop().time
        deadline = clock() + envelope.left_s(at_most=self._location_wait_s + _ANSWER_TIMEOUT_S)
        tries = 0
        while True:
            tries += 1
            left_s = max(0.0, deadline - clock())
            try:
                held = await self._registry.serving(location, within_s=min(left_s, self._location_wait_s))
                with held.in_use() as client:
                    return await call(client, max(0.0, deadline - clock()))
            except LocationRefusedError as error:
                return Failed.of(telemetry.RUN_REASON_REFUSED_BY_POLICY, error)
            except AgentError as error:
                decision = after_failure(error, tries=tries, left_s=deadline - clock())
                if not isinstance(decision, Retry):
                    return Failed.of(telemetry.RUN_REASON_LOCATION_UNAVAILABLE, error)
            await asyncio.sleep(decision.after_s)


def _validation(response: code_server.ValidateRunResponse) -> Outcome:
    violations = tuple(Violation(fault.field, fault.description) for fault in response.violations)
    if violations:
        return Failed(telemetry.RUN_REASON_INVALID_REQUEST, violations=violations)
    if response.HasField("failure"):
        return Failed(telemetry.RUN_REASON_USER_ERROR, failure=response.failure)
    return Succeeded(telemetry.ValidateAnswer())
