"""The kinds of alerts: what each is about, and what a policy may say of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of alert."""

    #: Whether it is a state, which ends; otherwise something that happened.
    lasts: bool = False
    #: The fields of a policy that restrict it.
    filters: frozenset[str]
    #: The fields that a policy must have for it.
    needs: frozenset[str] = frozenset()
    #: The fields that a policy may have for it.
    takes: frozenset[str] = frozenset()
    #: The kind of what shows that it is over, where that is not a state's end.
    over: str = ""


_RUN: Final = frozenset({"jobs", "locations", "tags"})
_ASSET: Final = frozenset({"assets", "locations"})

RUN_FAILED: Final = "run.failed"
RUN_SUCCEEDED: Final = "run.succeeded"
RUN_CANCELED: Final = "run.canceled"
RUN_LONG: Final = "run.long"
RUN_WAITING: Final = "run.waiting"
ASSET_MATERIALIZED: Final = "asset.materialized"
ASSET_FAILED: Final = "asset.failed"
ASSET_DEGRADED: Final = "asset.degraded"
CHECK_FAILED: Final = "check.failed"
CHECK_WARNED: Final = "check.warned"
#: No policy asks for it: it shows that a failure is over.
CHECK_PASSED: Final = "check.passed"
FRESHNESS_FAILED: Final = "freshness.failed"
FRESHNESS_WARNED: Final = "freshness.warned"
SCHEDULE_FAILED: Final = "schedule.failed"
SENSOR_FAILED: Final = "sensor.failed"
LOCATION_FAILED: Final = "location.failed"
AGENT_LOST: Final = "agent.lost"
QUEUE_DEEP: Final = "queue.deep"
DEAD_LETTERS: Final = "dead_letters"
RETENTION_BEHIND: Final = "retention.behind"
DISK_LOW: Final = "disk.low"
BACKFILL_STALLED: Final = "backfill.stalled"

KINDS: Final[Mapping[str, Kind]] = {
    RUN_FAILED: Kind(filters=_RUN, over=RUN_SUCCEEDED),
    RUN_SUCCEEDED: Kind(filters=_RUN),
    RUN_CANCELED: Kind(filters=_RUN),
    RUN_LONG: Kind(filters=_RUN, needs=frozenset({"longer_than"})),
    RUN_WAITING: Kind(filters=_RUN, needs=frozenset({"longer_than"})),
    ASSET_MATERIALIZED: Kind(filters=_ASSET),
    ASSET_FAILED: Kind(filters=_ASSET, over=ASSET_MATERIALIZED),
    ASSET_DEGRADED: Kind(filters=_ASSET, lasts=True),
    CHECK_FAILED: Kind(filters=_ASSET, over=CHECK_PASSED),
    CHECK_WARNED: Kind(filters=_ASSET, over=CHECK_PASSED),
    FRESHNESS_FAILED: Kind(filters=_ASSET, lasts=True),
    FRESHNESS_WARNED: Kind(filters=_ASSET, lasts=True),
    SCHEDULE_FAILED: Kind(filters=frozenset({"schedules", "locations"}), lasts=True, takes=frozenset({"after"})),
    SENSOR_FAILED: Kind(filters=frozenset({"sensors", "locations"}), lasts=True, takes=frozenset({"after"})),
    LOCATION_FAILED: Kind(filters=frozenset({"locations", "agents"}), lasts=True),
    AGENT_LOST: Kind(filters=frozenset({"agents"}), lasts=True),
    QUEUE_DEEP: Kind(filters=frozenset(), lasts=True, needs=frozenset({"deeper_than"})),
    DEAD_LETTERS: Kind(filters=frozenset()),
    RETENTION_BEHIND: Kind(filters=frozenset(), lasts=True),
    DISK_LOW: Kind(filters=frozenset(), lasts=True, takes=frozenset({"below_percent"})),
    BACKFILL_STALLED: Kind(filters=frozenset({"jobs", "locations"}), lasts=True, needs=frozenset({"longer_than"})),
}
#: What each kind that shows an end ends.
ENDS: Final[Mapping[str, tuple[str, ...]]] = {
    over: tuple(name for name, kind in KINDS.items() if kind.over == over)
    for over in {kind.over for kind in KINDS.values() if kind.over}
}
