"""What the one who measures may choose."""

from dataclasses import dataclass

RUNS = 100


@dataclass(frozen=True)
class Options:
    """How much to measure."""

    runs: int = RUNS
    #: Measure Dagster's own servers as well.
    has_peer: bool = True

    def scaled(self, count: int) -> int:
        """Return a count that is meant for the usual number of runs, for the chosen one."""
        return max(1, count * self.runs // RUNS)
