"""The event that tells of threads which went on when the work was done."""

from isthmus.v1.telemetry_pb2 import Event, LogMessage

from isthmus_code_server.definitions.clock import now

_WARNING = 30


def late_event(report: str, *, step_key: str = "") -> Event:
    """Return a warning of ours in the run's log."""
    message = LogMessage(level=_WARNING, logger="isthmus")
    return Event(occurred_at=now(), step_key=step_key, message=report, log_message=message)
