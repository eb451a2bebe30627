"""How an asset fares: its checks, its freshness, and what follows for its health. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from isthmus_store.asset_state import AssetSummary, CheckState, EventPlace
from isthmus_store.state import RunState

from isthmus_control_plane.catalog.freshness import FreshnessState


class Health(StrEnum):
    """How an asset fares as a whole."""

    HEALTHY = "HEALTHY"
    WARNING = "WARNING"
    DEGRADED = "DEGRADED"
    UNKNOWN = "UNKNOWN"


class CheckStatus(StrEnum):
    """What came of a check."""

    NEVER_RUN = "NEVER_RUN"
    IN_PROGRESS = "IN_PROGRESS"
    PASSED = "PASSED"
    #: It did not pass, and is only to warn.
    WARNED = "WARNED"
    FAILED = "FAILED"
    #: The run that was to evaluate it failed before.
    NOT_EXECUTED = "NOT_EXECUTED"
    #: The run that was to evaluate it ended well without.
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Check:
    """A check of an asset, and what came of it last."""

    name: str
    status: CheckStatus
    #: The newest evaluation, or None.
    evaluation: EventPlace | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetStatus:
    """How an asset fares."""

    materialization: EventPlace | None = None
    observation: EventPlace | None = None
    failure: EventPlace | None = None
    #: Keys of partitions; of an asset without partitions 0.
    materialized: int = 0
    #: Partitions, or the asset as a whole.
    failed: int = 0
    in_progress: int = 0
    checks: Sequence[Check] = ()
    #: None where it has no policy.
    freshness: FreshnessState | None = None
    #: Since when it is so, where that was told, and until when at the most; None for as long as nothing happens.
    fresh_since: datetime | None = None
    fresh_until: datetime | None = None

    @property
    def health(self) -> Health:
        """The worst of its parts; unknown as long as it was never made, or nothing of it is known."""
        parts = [self._materialization_health(), *map(_check_health, self.checks)]
        if self.freshness is not None:
            parts.append(_FRESHNESS_HEALTH[self.freshness])
        if Health.DEGRADED in parts:
            return Health.DEGRADED
        if Health.WARNING in parts:
            return Health.WARNING
        return Health.UNKNOWN if parts[0] is Health.UNKNOWN else Health.HEALTHY

    def _materialization_health(self) -> Health:
        if self.failed:
            return Health.DEGRADED
        return Health.HEALTHY if self.materialization is not None else Health.UNKNOWN


def check_status(state: CheckState | None, *, outcome: str = "", is_only_to_warn: bool = False) -> CheckStatus:
    """Tell what came of a check.

    Args:
        state: Its row; None for one that was never planned or evaluated.
        outcome: Of its newest evaluation: SUCCEEDED or FAILED.
        is_only_to_warn: Of that evaluation.
    """
    if state is None:
        return CheckStatus.NEVER_RUN
    if state.planned_id > state.evaluated_id and state.run_state is not None:
        return _planned(state.run_state)
    if not state.evaluated_id:
        return CheckStatus.NEVER_RUN
    if outcome == "SUCCEEDED":
        return CheckStatus.PASSED
    return CheckStatus.WARNED if is_only_to_warn else CheckStatus.FAILED


def _planned(run_state: RunState) -> CheckStatus:
    if not run_state.is_terminal:
        return CheckStatus.IN_PROGRESS
    return CheckStatus.SKIPPED if run_state is RunState.SUCCEEDED else CheckStatus.NOT_EXECUTED


def ids_of(summaries: Iterable[AssetSummary], *, checks: Iterable[CheckState]) -> set[int]:
    """Return the ids of all events that rows name."""
    found = {number for it in summaries for number in (it.materialized_id, it.observed_id, it.failed_id)}
    return found | {it.evaluated_id for it in checks}


def _check_health(check: Check) -> Health:
    return _CHECK_HEALTH.get(check.status, Health.UNKNOWN)


_CHECK_HEALTH = {
    CheckStatus.PASSED: Health.HEALTHY,
    CheckStatus.WARNED: Health.WARNING,
    CheckStatus.FAILED: Health.DEGRADED,
    CheckStatus.NOT_EXECUTED: Health.DEGRADED,
}
_FRESHNESS_HEALTH = {
    FreshnessState.PASSING: Health.HEALTHY,
    FreshnessState.WARNING: Health.WARNING,
    FreshnessState.FAILING: Health.DEGRADED,
    FreshnessState.UNKNOWN: Health.UNKNOWN,
}
