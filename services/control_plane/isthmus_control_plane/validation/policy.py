"""What the owner of an asset demands of it."""

from dataclasses import dataclass
from typing import Self

from isthmus.v1.telemetry_pb2 import FreshnessPolicySnapshot


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the newest materialization of an asset may be."""

    #: "time_window" or "cron".
    kind: str
    #: Of a time window, seconds: the age at which it is too old, and the one at which to warn; 0 for never.
    fail_after_s: float = 0.0
    warn_after_s: float = 0.0
    #: Of cron: when it is due, and how long before that a materialization counts, seconds.
    deadline: str = ""
    lower_bound_s: float = 0.0
    timezone: str = ""

    @classmethod
    def of(cls, snapshot: FreshnessPolicySnapshot) -> Self | None:
        """Read a policy as the location told it; None for none."""
        if not snapshot.kind:
            return None
        return cls(
            kind=snapshot.kind,
            fail_after_s=snapshot.fail_after_s,
            warn_after_s=snapshot.warn_after_s,
            deadline=snapshot.deadline_cron,
            lower_bound_s=snapshot.lower_bound_s,
            timezone=snapshot.timezone,
        )
