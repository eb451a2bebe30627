"""What every instruction carries besides its body."""

import time
from dataclasses import dataclass

from isthmus.v1 import instruction_pb2 as instruction


@dataclass(frozen=True)
class Envelope:
    """An instruction without its body."""

    id: str
    #: Seconds since the epoch; None for no deadline.
    not_after: float | None
    #: Where the answer goes; empty for a command, whose result is stored.
    reply_to: str

    @classmethod
    def of(cls, message: instruction.Instruction) -> "Envelope":
        """Read the contract's form."""
        has_deadline = message.HasField("not_after")
        return cls(
            id=message.id,
            not_after=message.not_after.ToNanoseconds() / 1e9 if has_deadline else None,
            reply_to=message.reply_to,
        )

    @property
    def is_question(self) -> bool:
        """Whether somebody waits for the answer, and nobody stores it."""
        return bool(self.reply_to)

    @property
    def is_expired(self) -> bool:
        """Whether it is too late to do anything about it."""
        return self.not_after is not None and time.time() > self.not_after

    def left_s(self, *, at_most: float) -> float:
        """Return how many seconds there are for it."""
        if self.not_after is None:
            return at_most
        return max(0.0, min(at_most, self.not_after - time.time()))
