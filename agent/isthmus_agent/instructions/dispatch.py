"""Takes instructions: each body goes to its handler, and each instruction gets its one result before it is settled."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.errors import BrokerError, PublishRefusedError
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_agent.clock import now
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.errors import AgentFolderError
from isthmus_agent.instructions.desk import AttemptDesk
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.launch import LaunchHandler
from isthmus_agent.instructions.logs import LogHandler
from isthmus_agent.instructions.outcome import (
    Expired,
    Failed,
    Later,
    Outcome,
    Succeeded,
    Unsupported,
    Violation,
    result_of,
)
from isthmus_agent.instructions.questions import QuestionHandler
from isthmus_agent.instructions.terminate import TerminateHandler
from isthmus_agent.locations.registry import LocationRegistry

log = get_logger(__name__)

#: Pauses between two tries with a folder that takes no files, the first and the longest, seconds.
_FOLDER_PAUSE_MIN_S, _FOLDER_PAUSE_MAX_S = 0.2, 5.0
#: How long an instruction without a deadline is tried, seconds.
_FOLDER_PATIENCE_S = 300.0


@dataclass(frozen=True)
class Route:
    """What is done about one kind of body."""

    #: Given the body, whose type the table's key tells, and the envelope.
    handle: Callable[[Any, Envelope], Awaitable[Outcome | Later]]
    #: Tells what an earlier delivery did, so that it does not expire afterwards.
    recall: Callable[[Any], Outcome | None] | None = None
    #: Makes sure that nothing comes of what is about to be told as failed, or tells what did.
    give_up: Callable[[Any, Failed], Awaitable[Outcome]] | None = None


def routes(desk: AttemptDesk) -> Mapping[str, Route]:
    """Return the table: the name of each body in the contract, and its handler."""
    launch = LaunchHandler(desk)
    questions = QuestionHandler(desk.registry, location_wait_s=desk.location_wait_s)
    return {
        "sync_locations": Route(SyncHandler(desk.registry).handle),
        "launch_run": Route(launch.handle, recall=launch.recall, give_up=launch.give_up),
        "terminate_run": Route(TerminateHandler(desk).handle),
        "validate_run": Route(questions.validate),
        "evaluate_schedule": Route(questions.schedule),
        "evaluate_sensor": Route(questions.sensor),
        "fetch_logs": Route(LogHandler(desk).handle),
        "drain_agent": Route(DrainHandler(desk.drain).handle),
    }


class SyncHandler:
    """SyncLocations: takes a new desired set. Loading it is not waited for: reports tell how it goes."""

    def __init__(self, registry: LocationRegistry) -> None:
        """Hand the set to `registry`."""
        self._registry = registry

    async def handle(self, body: instruction.SyncLocations, _: Envelope) -> Outcome:
        """Take the set; names that cannot be served are told, and the others served."""
        refused = self._registry.sync(body)
        if not refused:
            return Succeeded()
        remedy = "Use up to 63 small letters, digits, - and _, with a letter or digit at both ends."
        return Failed(0, violations=tuple(Violation(f"locations[{name!r}].name", remedy) for name in refused))


class DrainHandler:
    """DrainAgent: takes no new runs."""

    def __init__(self, drain: DrainSwitch) -> None:
        """Switch `drain` on when asked."""
        self._drain = drain

    async def handle(self, _: instruction.DrainAgent, __: Envelope) -> Outcome:
        """Switch it on."""
        self._drain.switch_on()
        return Succeeded()


class InstructionDesk:
    """Handles deliveries: effect first, then the result, and only then the settlement."""

    def __init__(self, table: Mapping[str, Route], *, publisher: TelemetryPublisher, tasks: asyncio.TaskGroup) -> None:
        """Handle by `table`, publish results over `publisher`, and let what takes its time go on in `tasks`."""
        self._table = table
        self._publisher = publisher
        self._tasks = tasks
        self._commands = Boundary("instruction")
        self._questions = Boundary("question")

    async def handle(self, message: instruction.Instruction) -> Settlement:
        """Do what an instruction says, and tell the outcome."""
        envelope = Envelope.of(message)
        kind = message.WhichOneof("body")
        outcome = await self._outcome(kind, message, envelope=envelope)
        if isinstance(outcome, Later):
            # Whoever waits for it asks again if it is lost with this process; a delivery is no place to keep it.
            self._tasks.create_task(self._answer_later(outcome, envelope=envelope), name="answer")
            return Settlement.ACK
        facts = {"instruction_id": envelope.id, "kind": kind, "outcome": type(outcome).__name__.lower()}
        if isinstance(outcome, Failed):
            facts["reason"] = telemetry.RunReason.Name(telemetry.RunReason.ValueType(outcome.reason))
        log.info("instruction_handled", **facts)
        await self._publish(outcome, envelope=envelope)
        return Settlement.ACK

    async def _answer_later(self, later: Later, *, envelope: Envelope) -> None:
        with self._questions.guard(instruction_id=envelope.id) as fate:
            await self._publish(await later.find(), envelope=envelope)
        if fate.error is not None:
            await self._publish(Failed.of(telemetry.RUN_REASON_INTERNAL_ERROR, fate.error), envelope=envelope)

    async def _outcome(
        self, kind: str | None, message: instruction.Instruction, *, envelope: Envelope
    ) -> Outcome | Later:
        route = self._table.get(kind) if kind is not None else None
        if kind is None or route is None:
            return Unsupported()
        body = getattr(message, kind)
        if envelope.is_expired:
            recalled = route.recall(body) if route.recall is not None else None
            return recalled or Expired()
        return await self._handled(route, body, envelope=envelope)

    async def _handled(self, route: Route, body: Any, *, envelope: Envelope) -> Outcome | Later:
        """Carry an instruction out; what nobody foresaw ends it, and nothing else."""
        with self._commands.guard(instruction_id=envelope.id) as fate:
            try:
                return await self._tried(route, body, envelope=envelope)
            except AgentFolderError as error:
                log.error("instruction_not_done", instruction_id=envelope.id, error=str(error))  # noqa: TRY400 (the message says it all)
                failed = Failed.of(telemetry.RUN_REASON_INTERNAL_ERROR, error)
        if fate.error is not None:
            failed = Failed.of(telemetry.RUN_REASON_INTERNAL_ERROR, fate.error)
        return await route.give_up(body, failed) if route.give_up is not None else failed

    async def _tried(self, route: Route, body: Any, *, envelope: Envelope) -> Outcome | Later:
        """Try until its deadline, with pauses, for as long as the agent's folder takes no files."""
        backoff = Backoff(_FOLDER_PAUSE_MIN_S, _FOLDER_PAUSE_MAX_S)
        clock = asyncio.get_running_loop().time
        deadline = clock() + envelope.left_s(at_most=_FOLDER_PATIENCE_S)
        while True:
            try:
                return await route.handle(body, envelope)
            except OSError as error:
                trouble = AgentFolderError(cause=error)
            wait_s = backoff.next_wait_s()
            if envelope.is_question or clock() + wait_s >= deadline:
                raise trouble
            log.warning("instruction_waits", instruction_id=envelope.id, error=str(trouble))
            await asyncio.sleep(wait_s)

    async def _publish(self, outcome: Outcome, *, envelope: Envelope) -> None:
        """Publish until confirmed; a question's answer only for as long as somebody waits for it."""
        event = telemetry.Event(instruction_result=result_of(outcome, instruction_id=envelope.id))
        event.occurred_at.CopyFrom(now())
        backoff = Backoff(0.05, 3.0)
        while True:
            try:
                if envelope.is_question:
                    return await self._publisher.answer(envelope.reply_to, event)
                return await self._publisher.publish(TelemetryKind.RESULT, (event,))
            except PublishRefusedError as error:
                log.error("result_refused", instruction_id=envelope.id, error=str(error))  # noqa: TRY400
                event.instruction_result.CopyFrom(_untellable(outcome, envelope=envelope, error=error))
            except BrokerError as error:
                if envelope.is_question and (envelope.is_expired or envelope.not_after is None):
                    log.info("answer_dropped", instruction_id=envelope.id, error=str(error))
                    return None
                log.debug("result_waits", instruction_id=envelope.id, error=str(error))
            await asyncio.sleep(backoff.next_wait_s())


def _untellable(outcome: Outcome, *, envelope: Envelope, error: PublishRefusedError) -> telemetry.InstructionResult:
    """Return a result in the place of one that the broker does not take."""
    reason = outcome.reason if isinstance(outcome, Failed) else telemetry.RUN_REASON_INTERNAL_ERROR
    return result_of(Failed.of(reason, error), instruction_id=envelope.id)
