"""Gives a run its next attempt, in place of a launch that nobody is going to begin."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_store import outbox, runs
from isthmus_store.record.instruction import NewInstruction, OutboxInstruction
from isthmus_store.record.run import Run
from isthmus_store.signal import Dispatched
from isthmus_store.state import InstructionOutcome
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import history
from isthmus_control_plane.commands import command
from isthmus_control_plane.key import AgentKey


@dataclass(frozen=True, slots=True)
class Successor:
    """What is executed next, by whom, and how long the launch of it may take."""

    request: RunRequest
    agent: AgentKey
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Succession:
    """The run in its next attempt, and the launch of that, which is not in the outbox yet."""

    run: Run
    launch: NewInstruction


async def succeed(tx: WriteTransaction, row: OutboxInstruction, *, by: Successor, at: datetime) -> Succession | None:
    """End a launch, and write the attempt that follows it with its history; None when the launch has ended already.

    The caller puts the new launch into the outbox, behind what else has to be there.
    """
    if await outbox.settle(tx, row.id, outcome=InstructionOutcome.EXPIRED, at=at) is None:
        return None
    request = RunRequest()
    request.CopyFrom(by.request)
    request.run.attempt = row.attempt + 1
    launch = command.launch(by.agent, request=request, at=at, lifetime=by.lifetime)
    dispatched = Dispatched(attempt=request.run.attempt, agent=by.agent.name)
    run = (await runs.signal(tx, row.run_id, dispatched, at=at)).run
    news = history.dispatched(run.ref, agent=by.agent.name, instruction_id=launch.id, at=at)
    await history.append(tx, run.ref, news=[news], at=at)
    return Succession(run, launch)
