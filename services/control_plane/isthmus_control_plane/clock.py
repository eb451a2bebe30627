"""Time as the contract writes it."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def stamp(at: datetime) -> Timestamp:
    """Return a time as the contract has it."""
    message = Timestamp()
    message.FromDatetime(at)
    return message


def optional_stamp(at: datetime | None) -> Timestamp | None:
    """Return a time as the contract has it; None leaves the field unset."""
    return stamp(at) if at is not None else None


def moment(message: Timestamp) -> datetime:
    """Return a contract's time.

    Raises:
        ValueError, OverflowError: the message names no time that a calendar knows.
    """
    return message.ToDatetime(tzinfo=UTC)
