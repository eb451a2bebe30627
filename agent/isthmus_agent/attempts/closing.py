"""How an attempt is told to have ended whose code server is gone: a pure decision over what its journal says."""

from collections.abc import Iterable

from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.hosts.host import ServerExit

_TERMINAL_BODIES = frozenset({"run_succeeded", "run_failed", "run_canceled"})


def has_ended(events: Iterable[telemetry.Event]) -> bool:
    """Whether one of the events is the attempt's last word."""
    return any(event.WhichOneof("body") in _TERMINAL_BODIES for event in events)


def closing_event(
    run: telemetry.RunRef, *, server: str, ending: ServerExit | None, is_cancel_requested: bool
) -> telemetry.Event:
    """Return the last word for an attempt that could not say it itself.

    Args:
        run: the attempt.
        server: the name of the code server that held it.
        ending: how that server ended; None when no agent was there to see.
        is_cancel_requested: someone had asked for the attempt's end, and now it has ended.
    """
    how = str(ending) if ending is not None else "ended while the agent was away"
    message = f"Code server {server}, which held the run, {how}."
    event = telemetry.Event(run=run, message=message)
    exit_facts = _process_exit(ending)
    if is_cancel_requested:
        event.run_canceled.reason = telemetry.RUN_REASON_CANCELED_BY_REQUEST
        if exit_facts is not None:
            event.run_canceled.exit.CopyFrom(exit_facts)
        return event
    is_memory = ending is not None and ending.is_out_of_memory
    event.run_failed.reason = telemetry.RUN_REASON_OUT_OF_MEMORY if is_memory else telemetry.RUN_REASON_WORKER_LOST
    event.run_failed.failure.error_class = "OutOfMemory" if is_memory else "WorkerLost"
    event.run_failed.failure.message = message
    if exit_facts is not None:
        event.run_failed.exit.CopyFrom(exit_facts)
    return event


def _process_exit(ending: ServerExit | None) -> telemetry.ProcessExit | None:
    if ending is None or (ending.exit_code is None and ending.signal is None):
        return None
    return telemetry.ProcessExit(
        exit_code=ending.exit_code, signal=ending.signal or 0, is_out_of_memory=ending.is_out_of_memory
    )
