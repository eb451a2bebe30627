"""Takes instructions: each body goes to its handler, and each instruction gets its one result before it is settled."""

import asyncio
from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError
from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import AgentFolderError, FilesError
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.lanes import Lanes, Taken
from isthmus_agent.instructions.outcome import (
    Expired,
    Failed,
    Later,
    Outcome,
    Unsupported,
)
from isthmus_agent.instructions.results import ResultPublisher
from isthmus_agent.instructions.routes import Route
from isthmus_agent.instructions.waiting import WaitingLaunches
from isthmus_agent.intake.journal import IntakeJournal

log = get_logger(__name__)

#: Pauses between two tries with a folder that takes no files, the first and the longest, seconds.
_FOLDER_PAUSE_MIN_S, _FOLDER_PAUSE_MAX_S = 0.2, 5.0
#: How long an instruction without a deadline is tried, seconds.
_FOLDER_PATIENCE_S = 300.0


class InstructionDispatcher:
    """Handles deliveries: effect first, then the result, and only then the settlement.

    What may have to wait is taken down instead, and its delivery settled at once: the queue behind it goes on. Its effect and
    its result come from what was taken down, which is forgotten once the result is confirmed.
    """

    def __init__(
        self,
        table: Mapping[str, Route],
        *,
        publisher: TelemetryPublisher,
        tasks: asyncio.TaskGroup,
        intake: IntakeJournal,
        waiting: WaitingLaunches,
    ) -> None:
        """Handle by `table`, publish results over `publisher`, and let what takes its time go on in `tasks`.

        Args:
            table: What is done about each kind of body.
            publisher: For results and answers.
            tasks: For what goes on beside the deliveries.
            intake: Where it is taken down.
            waiting: Tells of the runs that are ended while their launches wait.
        """
        self._table = table
        self._results = ResultPublisher(publisher)
        self._tasks = tasks
        self._intake = intake
        self._waiting = waiting
        self._lanes = Lanes(self._work_off, tasks=tasks)
        waiting.on_end = self._lanes.end
        self._begun = asyncio.Event()
        self._commands = Boundary("instruction")
        self._questions = Boundary("question")

    def begin(self) -> None:
        """Go on with what an earlier life of the agent took down, then with what is delivered."""
        for entry in self._intake.all():
            with self._commands.guard(instruction_id=entry.instruction_id):
                self._lanes.add(Taken.of(entry, self._intake.read(entry)))
        self._begun.set()

    async def run(self) -> None:
        """End what has waited for too long, until cancelled."""
        await self._lanes.run()

    def leave(self) -> None:
        """Let go what only waits: it is as it was taken down, or goes back to the broker."""
        self._waiting.leave()

    async def drain(self, *, deadline_s: float) -> None:
        """Wait up to `deadline_s` for what is in hand; what was taken down and not begun is the next agent's."""
        await self._lanes.drain(deadline_s=deadline_s)

    def abandon(self) -> None:
        """Forget what was taken down: another process has had the agent's name, and may have been given the same."""
        for entry in self._intake.all():
            log.warning("instruction_abandoned", instruction_id=entry.instruction_id)
            self._intake.remove(entry)

    async def handle(self, message: instruction.Instruction) -> Settlement:
        """Do what an instruction says and tell the outcome, or take it down."""
        await self._begun.wait()
        envelope = Envelope.of(message)
        kind = message.WhichOneof("body")
        route = self._table.get(kind) if kind is not None else None
        if route is not None and route.is_taken_down and await self._is_taken_down(message):
            return Settlement.ACK
        outcome = await self._outcome(kind, message, envelope=envelope)
        if isinstance(outcome, Later):
            # Whoever waits for it asks again if it is lost with this process; a delivery is no place to keep it.
            self._tasks.create_task(self._answer_later(outcome, kind=kind, envelope=envelope), name="answer")
        else:
            await self._results.publish(outcome, kind=kind, envelope=envelope)
        return Settlement.ACK

    async def _is_taken_down(self, message: instruction.Instruction) -> bool:
        """Take an instruction down, once; False where the folder takes no files, and its delivery has to hold it."""
        with self._waiting.resting():
            await self._intake.wait_room()
        if message.id not in self._intake:
            try:
                entry = self._intake.put(message)
            except OSError as error:
                log.warning("instruction_not_taken_down", instruction_id=message.id, error=str(error))
                return False
            # It begins at once: were it lost with the machine now, its delivery would come again.
            self._lanes.add(Taken.of(entry, message))
            # Its turn comes before that of the disk: a run waits for the one, and nobody for the other.
            await asyncio.sleep(0)
        try:
            await self._intake.synced()
        except OSError as error:
            # It outlives this process all the same.
            log.error("intake_not_synced", instruction_id=message.id, error=str(error))  # noqa: TRY400 (the message says it all)
        return True

    async def _work_off(self, taken: Taken) -> None:
        """Carry out what was taken down, tell the outcome, and forget it. Cancelling leaves it to the next agent."""
        entry = taken.entry
        try:
            message = taken.message or self._intake.read(entry)
        except (OSError, DecodeError) as error:
            # The control plane ends it at its deadline.
            log.error("taken_instruction_lost", instruction_id=entry.instruction_id, error=str(error))  # noqa: TRY400 (the message says it all)
        else:
            kind, envelope = message.WhichOneof("body"), Envelope.of(message)
            outcome = await self._outcome(kind, message, envelope=envelope)
            if isinstance(outcome, Later):
                outcome = await outcome.find()
            await self._results.publish(outcome, kind=kind, envelope=envelope)
        self._intake.remove(entry)

    async def _answer_later(self, later: Later, *, kind: str | None, envelope: Envelope) -> None:
        with self._questions.guard(instruction_id=envelope.id) as fate:
            await self._results.publish(await later.find(), kind=kind, envelope=envelope)
        if fate.error is not None:
            # Who asked gives up by itself, where not even that can be told.
            with self._questions.guard(instruction_id=envelope.id):
                failed = Failed.of(telemetry.RUN_REASON_INTERNAL_ERROR, fate.error)
                await self._results.publish(failed, kind=kind, envelope=envelope)

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
            except FilesError as error:
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
            trouble: FilesError
            try:
                return await route.handle(body, envelope)
            except OSError as error:
                trouble = AgentFolderError(cause=error)
            except FilesError as error:
                trouble = error
            wait_s = backoff.next_wait_s()
            if envelope.is_question or clock() + wait_s >= deadline:
                raise trouble
            log.warning("instruction_waits", instruction_id=envelope.id, error=str(trouble))
            with self._waiting.resting():
                await asyncio.sleep(wait_s)
