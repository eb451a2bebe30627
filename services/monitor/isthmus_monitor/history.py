"""What the monitor itself writes into a run's history, so that it is told whole."""

from datetime import datetime
from typing import cast

from isthmus.v1.telemetry_pb2 import Event, Failure, RunFailed, RunReason
from isthmus_store import events, wire
from isthmus_store.record.event import NewEvent
from isthmus_store.record.run import Run
from isthmus_store.state import RunState


def starting(run: Run, *, server: str, at: datetime) -> NewEvent:
    """Tell that a code server took the attempt."""
    event = events.own(run.ref, at=at)
    event.run_starting.agent = run.agent
    event.run_starting.server = server
    return events.new_event(event)


def ended(run: Run, *, at: datetime) -> NewEvent:
    """Tell the end of a run whose attempt did not say it itself."""
    event = events.own(run.ref, at=at, message=run.message)
    reason = cast("RunReason.ValueType", wire.RUN_REASONS.to_wire(run.reason))
    if run.state is RunState.CANCELED:
        event.run_canceled.reason = reason
    else:
        event.run_failed.reason = reason
        if run.failure:
            event.run_failed.failure.CopyFrom(Failure.FromString(run.failure))
    return events.new_event(event)


def timed_out(run: Run, said: NewEvent) -> NewEvent:
    """Tell as a failure what a run's code server tells as a cancellation: nobody wanted its end but the clock."""
    event = Event.FromString(said.body)
    exit_ = event.run_canceled.exit if event.run_canceled.HasField("exit") else None
    left = event.run_canceled.ended_processes
    reason = cast("RunReason.ValueType", wire.RUN_REASONS.to_wire(run.reason))
    event.message = run.message
    event.run_failed.CopyFrom(RunFailed(reason=reason, exit=exit_, ended_processes=left))
    return events.new_event(event)
