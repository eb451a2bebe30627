"""Hands a queued run to an agent: state, history and instruction, in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_store import outbox, runs, signal
from isthmus_store.record.run import Run
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import history
from isthmus_control_plane.commands import command
from isthmus_control_plane.key import AgentKey


@dataclass(frozen=True, slots=True)
class Order:
    """Who gets the run, and what exactly."""

    agent: AgentKey
    request: RunRequest
    #: How long the agent may take to come for it.
    lifetime: timedelta


async def dispatch(tx: WriteTransaction, run: Run, *, order: Order, at: datetime) -> bool:
    """Write that a queued run goes to the agent. Returns False, having written nothing, when it is queued no longer."""
    news = signal.Dispatched(attempt=run.attempt, agent=order.agent.name)
    signaled = await runs.signal(tx, run.run_id, news, at=at)
    if not signaled.decision.is_change:
        return False
    instruction = command.launch(order.agent, request=order.request, at=at, lifetime=order.lifetime)
    await outbox.add(tx, instruction)
    event = history.dispatched(run.ref, agent=order.agent.name, instruction_id=instruction.id, at=at)
    await history.append(tx, run.ref, news=[event], at=at)
    return True
