"""What this side writes into a run's history, so that it is told whole."""

from datetime import datetime

from isthmus.v1 import telemetry_pb2
from isthmus_store import events, wire
from isthmus_store.record.event import NewEvent
from isthmus_store.record.run import AttemptRef, Run
from isthmus_store.retry.follow import follow_up
from isthmus_store.state import RunState
from isthmus_store.transaction import WriteTransaction


def queued(run: AttemptRef, *, requested_by: str, at: datetime) -> NewEvent:
    """Tell that the run was accepted."""
    event = events.own(run, at=at)
    event.run_queued.requested_by = requested_by
    return events.new_event(event)


def dispatched(run: AttemptRef, *, agent: str, instruction_id: str, at: datetime) -> NewEvent:
    """Tell that the attempt was given to an agent."""
    event = events.own(run, at=at)
    event.run_dispatched.agent = agent
    event.run_dispatched.instruction_id = instruction_id
    return events.new_event(event)


def cancel_requested(run: AttemptRef, *, requested_by: str, at: datetime) -> NewEvent:
    """Tell that somebody wants the run to end."""
    event = events.own(run, at=at)
    event.run_cancel_requested.requested_by = requested_by
    return events.new_event(event)


def canceled(run: Run, *, at: datetime) -> NewEvent:
    """Tell that the run ended before anything of it was started."""
    event = events.own(run.ref, at=at, message=run.message)
    event.run_canceled.reason = _reason(run)
    return events.new_event(event)


def failed(run: Run, *, at: datetime) -> NewEvent:
    """Tell that the run was given up on this side."""
    event = events.own(run.ref, at=at, message=run.message)
    event.run_failed.reason = _reason(run)
    return events.new_event(event)


async def tell_end(tx: WriteTransaction, run: Run, *, at: datetime) -> None:
    """Write the end that this side gave a run into its history, and the run that follows it, if one does."""
    end = canceled if run.state is RunState.CANCELED else failed
    await append(tx, run.ref, news=[end(run, at=at)], at=at)
    await follow_up(tx, [run], at=at)


async def append(tx: WriteTransaction, run: AttemptRef, *, news: list[NewEvent], at: datetime) -> int:
    """Write events into the run's history and return where it ends now."""
    positions = await events.append(tx, run.run_id, attempt=run.attempt, events=news, stored_at=at)
    return positions[-1]


def _reason(run: Run) -> telemetry_pb2.RunReason.ValueType:
    return telemetry_pb2.RunReason.ValueType(wire.RUN_REASONS.to_wire(run.reason))
