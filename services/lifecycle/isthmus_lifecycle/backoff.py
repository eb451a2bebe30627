"""How long to wait before the next try."""

import random
from dataclasses import dataclass, field


@dataclass
class Backoff:
    """Doubling waits with full jitter, so that a thousand peers do not come back in the same instant."""

    minimum_s: float
    maximum_s: float
    _next_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._next_s = self.minimum_s

    def next_wait_s(self) -> float:
        """Return the next wait in seconds: between half the current step and the whole of it."""
        step = self._next_s
        self._next_s = min(self.maximum_s, step * 2)
        return step * (0.5 + random.random() / 2)  # noqa: S311 (jitter, not a secret)

    def reset(self) -> None:
        """Start over: the last try worked."""
        self._next_s = self.minimum_s
