"""Messages that nobody could use."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDeadLetter:
    """A message that nobody could use, as the broker handed it back."""

    received_at: datetime
    queue: str
    reason: str
    #: Empty when the bytes could not be decoded.
    instruction_id: str
    sender: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A kept dead letter."""

    id: int
    received_at: datetime
    queue: str
    reason: str
    instruction_id: str
    sender: str
    body: bytes
