"""Time as the contract writes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus_store import wire


def _time_of_day() -> datetime:
    return datetime.now(UTC)


_SOURCE: ContextVar[Callable[[], datetime]] = ContextVar("clock", default=_time_of_day)


def now() -> datetime:
    """Return the time, aware, in UTC."""
    return _SOURCE.get()()


@contextmanager
def set_to(source: Callable[[], datetime]) -> Iterator[None]:
    """Take the time from elsewhere, in this block and in the tasks that it starts: a year can be lived in minutes."""
    token = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(token)


def stamp(at: datetime) -> Timestamp:
    """Return a time as the contract has it."""
    return wire.stamp(at)


def optional_stamp(at: datetime | None) -> Timestamp | None:
    """Return a time as the contract has it; None leaves the field unset."""
    return stamp(at) if at is not None else None


def moment(message: Timestamp) -> datetime:
    """Return a contract's time.

    Raises:
        ValueError, OverflowError: the message names no time that a calendar knows.
    """
    return message.ToDatetime(tzinfo=UTC)
