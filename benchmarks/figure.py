"""What a benchmark finds out, as values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median


class Better(Enum):
    """Which direction is better."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One system's figure."""

    value: float
    #: How many times it was measured.
    samples: int = 1
    #: What else is known, by name, in the figure's unit: p99, best, worst.
    details: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Measure":
        """The median of some values, with their tail."""
        details = {"p99": quantile(values, 0.99), "min": min(values), "max": max(values)}
        return cls(value=median(values), samples=len(values), details=details)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table: a quantity, for Isthmus and for Dagster."""

    name: str
    unit: str
    better: Better
    isthmus: Measure
    dagster_tuned: Measure | None = None
    dagster_default: Measure | None = None
    #: What the design promises of the value.
    budget: float | None = None
    #: What the design promises of the 99th percentile.
    budget_p99: float | None = None

    def times_better(self, peer: Measure | None) -> float | None:
        """How many times better than a peer; below 1 it is worse."""
        if peer is None or not peer.value or not self.isthmus.value:
            return None
        ratio = peer.value / self.isthmus.value
        return ratio if self.better is Better.LOWER else 1 / ratio

    @property
    def is_within_budget(self) -> bool | None:
        """Whether it is as good as promised; None where nothing was promised."""
        if self.budget is None:
            return None
        has_value = self.isthmus.value <= self.budget
        if self.better is Better.HIGHER:
            has_value = self.isthmus.value >= self.budget
        return has_value and (self.budget_p99 is None or self.isthmus.details["p99"] <= self.budget_p99)


@dataclass(frozen=True, kw_only=True)
class Station:
    """A point on the way of a run, in milliseconds after the call."""

    name: str
    at_p50: float
    at_p99: float
    #: Median time since the station before.
    took_p50: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one benchmark found."""

    benchmark: str
    figures: tuple[Figure, ...]
    stations: tuple[Station, ...] = ()
    notes: tuple[str, ...] = ()


def quantile(values: Sequence[float], fraction: float) -> float:
    """Return the value at the nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]
