"""How an attempt is told to have ended whose code server is gone: a pure decision over what its journal says."""

from collections.abc import Iterable

from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.hosts.host import ServerExit

#: How many of a server's last lines are told.
_MOST_LINES = 50
_TERMINAL_BODIES = frozenset({"run_succeeded", "run_failed", "run_canceled"})


def has_ended(events: Iterable[telemetry.Event]) -> bool:
    """Whether one of the events is the attempt's last word."""
    return any(event.WhichOneof("body") in _TERMINAL_BODIES for event in events)


def closing_event(
    run: telemetry.RunRef, *, server: str, ending: ServerExit | None, is_cancel_requested: bool, output: str = ""
) -> telemetry.Event:
    """Return the last word for an attempt that could not say it itself.

    Args:
        run: the attempt.
        server: the name of the code server that held it.
        ending: how that server ended; None when no agent was there to see.
        is_cancel_requested: someone had asked for the attempt's end, and now it has ended.
        output: the end of what the server wrote; told where the server was the attempt's own.
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
    reason, error_class = _reason(ending)
    event.run_failed.reason = reason
    event.run_failed.failure.error_class = error_class
    event.run_failed.failure.message = message
    if ending is not None and ending.server.is_dedicated:
        event.run_failed.failure.stack.extend(output.splitlines(keepends=True)[-_MOST_LINES:])
    if exit_facts is not None:
        event.run_failed.exit.CopyFrom(exit_facts)
    return event


def note_damage(event: telemetry.Event, *, problem: str) -> None:
    """Tell in a last word that what came before it is lost in part: whether the run had ended is not known then."""
    event.message += f" Its journal is damaged ({problem}); what it said after that is lost."
    if event.HasField("run_failed"):
        event.run_failed.reason = telemetry.RUN_REASON_INTERNAL_ERROR
        event.run_failed.failure.error_class = "JournalDamaged"
        event.run_failed.failure.message = event.message


def _reason(ending: ServerExit | None) -> tuple["telemetry.RunReason.ValueType", str]:
    """Say why an attempt failed: what ended a server of its own ended the attempt; a shared one is just lost."""
    if ending is not None and ending.is_out_of_memory:
        return telemetry.RUN_REASON_OUT_OF_MEMORY, "OutOfMemory"
    if ending is not None and ending.server.is_dedicated and ending.signal is not None:
        return telemetry.RUN_REASON_PROCESS_KILLED, "ProcessKilled"
    if ending is not None and ending.server.is_dedicated and ending.exit_code:
        return telemetry.RUN_REASON_PROCESS_EXITED, "ProcessExited"
    return telemetry.RUN_REASON_WORKER_LOST, "WorkerLost"


def _process_exit(ending: ServerExit | None) -> telemetry.ProcessExit | None:
    if ending is None or (ending.exit_code is None and ending.signal is None):
        return None
    return telemetry.ProcessExit(
        exit_code=ending.exit_code, signal=ending.signal or 0, is_out_of_memory=ending.is_out_of_memory
    )
