"""Until when a launch is worth waiting for."""

import asyncio
from dataclasses import dataclass

from isthmus_agent.instructions.envelope import Envelope

#: How long a launch waits at the most for a server of its own, seconds: in a burst others are before it.
_DEDICATED_WAIT_S = 600.0


@dataclass(frozen=True)
class Patience:
    """Until when a launch is worth waiting for, by the event loop's clock."""

    location_deadline: float
    deadline: float

    @classmethod
    def of(cls, envelope: Envelope, *, location_wait_s: float) -> "Patience":
        """Begin to wait now; a location may take `location_wait_s`, and all of it no longer than the deadline allows."""
        now = asyncio.get_running_loop().time()
        return cls(
            now + envelope.left_s(at_most=location_wait_s),
            now + envelope.left_s(at_most=max(location_wait_s, _DEDICATED_WAIT_S)),
        )

    @property
    def location_s(self) -> float:
        """Seconds that its location may take."""
        return max(0.0, self.location_deadline - asyncio.get_running_loop().time())

    @property
    def whole_s(self) -> float:
        """Seconds that its own server may take, too: other launches may be before it."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())
