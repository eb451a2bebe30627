"""Whether the newest materialization of an asset is as fresh as its policy wants it. Pure.

The rules are those of Dagster's freshness policies: an age, or a deadline that comes back and the time before it in which a
materialization counts.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from isthmus_control_plane.automation.cron import times
from isthmus_control_plane.automation.cron.errors import CronError, UnknownZoneError
from isthmus_control_plane.automation.cron.expression import parse
from isthmus_control_plane.validation.policy import Freshness

#: How far back the last deadline is looked for.
_LOOK_BACK: Final = timedelta(days=366)
#: No age or bound counts as longer, seconds: moments are to stay within the calendar.
_LONGEST_S: Final = 1000 * 365 * 86_400.0


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


def next_change(policy: Freshness, *, materialized_at: datetime | None, now: datetime) -> datetime | None:
    """Return the next moment at which the state changes although nothing happens; None for never."""
    if materialized_at is None:
        return None
    if policy.kind == "time_window":
        bounds = (policy.warn_after_s, policy.fail_after_s)
        moments = (materialized_at + timedelta(seconds=min(it, _LONGEST_S)) for it in bounds if it)
        return min((it for it in moments if it > now), default=None)
    if policy.kind == "cron" and freshness(policy, materialized_at=materialized_at, now=now) is FreshnessState.PASSING:
        # A later deadline asks for more: only the first that this materialization does not reach changes anything.
        reach = materialized_at + timedelta(seconds=min(policy.lower_bound_s, _LONGEST_S))
        crons, within = [parse(policy.deadline)], times.zone(policy.timezone)
        return next(times.after(crons, max(now, reach), within=within), None)
    return None


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
    if not passed or materialized_at >= passed[0] - timedelta(seconds=min(policy.lower_bound_s, _LONGEST_S)):
        return FreshnessState.PASSING
    return FreshnessState.FAILING
