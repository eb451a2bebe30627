"""Whether the newest materialization of an asset is as fresh as its policy wants it. Pure.

The rules are those of Dagster's freshness policies: an age, or a deadline that comes back and the time before it in which a
materialization counts.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from isthmus_control_plane.automation.cron import times
from isthmus_control_plane.automation.cron.errors import CronError, UnknownZoneError
from isthmus_control_plane.automation.cron.expression import parse
from isthmus_control_plane.validation.definition import Freshness

#: How far back the last deadline is looked for.
_LOOK_BACK = timedelta(days=366)


class FreshnessState(StrEnum):
    """How fresh an asset is."""

    PASSING = "PASSING"
    WARNING = "WARNING"
    FAILING = "FAILING"
    #: It was never materialized, or its policy cannot be read.
    UNKNOWN = "UNKNOWN"


def freshness(policy: Freshness, *, materialized_at: datetime | None, now: datetime) -> FreshnessState:
    """Judge an asset by its newest materialization; None where there is none."""
    if materialized_at is None:
        return FreshnessState.UNKNOWN
    if policy.kind == "time_window":
        return _of_age((now - materialized_at).total_seconds(), policy=policy)
    if policy.kind == "cron":
        return _of_deadline(materialized_at, policy=policy, now=now)
    return FreshnessState.UNKNOWN


def _of_age(age_s: float, *, policy: Freshness) -> FreshnessState:
    if policy.fail_after_s and age_s >= policy.fail_after_s:
        return FreshnessState.FAILING
    if policy.warn_after_s and age_s >= policy.warn_after_s:
        return FreshnessState.WARNING
    return FreshnessState.PASSING


def _of_deadline(materialized_at: datetime, *, policy: Freshness, now: datetime) -> FreshnessState:
    try:
        crons, within = [parse(policy.deadline)], times.zone(policy.timezone)
    except (CronError, UnknownZoneError):
        return FreshnessState.UNKNOWN
    passed = times.latest(crons, since=now - _LOOK_BACK, until=now, within=within, at_most=1)
    if not passed or materialized_at >= passed[0] - timedelta(seconds=policy.lower_bound_s):
        return FreshnessState.PASSING
    return FreshnessState.FAILING
