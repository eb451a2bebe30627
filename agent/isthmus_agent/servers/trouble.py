"""Why a location's wanted server does not serve, and when it may be tried again."""

from dataclasses import dataclass

from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.errors import AgentError
from isthmus_agent.servers.wanted import KeeperTiming


@dataclass(frozen=True)
class Breakdown:
    """One failure of the wanted server."""

    failure: telemetry.Failure
    #: It never came to serve: then waiting for it makes no sense.
    is_load_failure: bool
    #: For how long it had served, seconds.
    served_s: float = 0.0
    #: The error of its start, where it came to no process.
    error: AgentError | None = None


class TroubleLog:
    """The last breakdown, and how many there were in a row."""

    def __init__(self, timing: KeeperTiming) -> None:
        """Begin without trouble."""
        self._timing = timing
        self._in_a_row = 0
        self.last: Breakdown | None = None
        #: When the next start is allowed, by the event loop's clock.
        self.may_start_at = 0.0

    def forget(self) -> None:
        """Begin anew: something else is wanted."""
        self.last, self._in_a_row, self.may_start_at = None, 0, 0.0

    def mended(self) -> None:
        """Note that it serves. Only time shows whether it will go on to, so the count stands."""
        self.last = None

    def refused(self, failure: telemetry.Failure) -> None:
        """Note that it must not be started at all."""
        self.last = Breakdown(failure, is_load_failure=True)

    def add(self, breakdown: Breakdown, *, now: float) -> None:
        """Note a breakdown, and decide when to try again."""
        timing = self._timing
        had_served_long = breakdown.served_s > timing.restart_max_s
        self._in_a_row = 1 if had_served_long else self._in_a_row + 1
        self.last = breakdown
        is_load = breakdown.is_load_failure
        self.may_start_at = now + restart_wait_s(
            failures=self._in_a_row,
            minimum_s=timing.reload_min_s if is_load else timing.restart_min_s,
            maximum_s=timing.reload_max_s if is_load else timing.restart_max_s,
        )


def restart_wait_s(*, failures: int, minimum_s: float, maximum_s: float) -> float:
    """Return how long to wait before the next start after so many failures in a row: none, then doubling."""
    if failures == 0:
        return 0.0
    return min(maximum_s, minimum_s * 2.0 ** min(failures - 1, 32))
