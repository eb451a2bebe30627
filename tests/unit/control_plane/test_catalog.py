"""The catalog's pure part: who owns an asset, and how it fares."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from isthmus_control_plane.catalog.freshness import FreshnessState, freshness, next_change
from isthmus_control_plane.catalog.status import AssetStatus, Check, CheckStatus, Health, check_status
from isthmus_control_plane.validation.asset_query import AssetQueryError, select
from isthmus_control_plane.validation.definition import Asset, AssetPath, Definitions
from isthmus_control_plane.validation.merged import merge
from isthmus_control_plane.validation.policy import Freshness
from isthmus_store.asset_state import CheckState, EventPlace
from isthmus_store.state import RunState

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
MADE = EventPlace(id=1, run_id="r", position=1, occurred_at=NOON, outcome="")
MATERIALIZABLE = {"is_executable": True}
OBSERVABLE = {"is_executable": True, "is_observable": True}


def asset(**fields: Any) -> Asset:
    values = {"partitions": None, "checks": frozenset(), "is_executable": False} | fields
    return Asset(**values)


def defines(**assets: Asset) -> Definitions:
    return Definitions(jobs={}, assets={(name,): it for name, it in assets.items()})


@pytest.mark.parametrize(
    ("first", "second", "owner"),
    [
        (asset(is_stub=True), asset(**MATERIALIZABLE), "b"),
        (asset(**OBSERVABLE), asset(**MATERIALIZABLE), "b"),
        (asset(is_stub=True), asset(**OBSERVABLE), "b"),
        (asset(is_stub=True), asset(), "b"),
        (asset(**MATERIALIZABLE), asset(**MATERIALIZABLE), "a"),
        (asset(), asset(), "a"),
    ],
)
def test_who_can_make_an_asset_owns_it(first: Asset, second: Asset, owner: str) -> None:
    found = merge({"b": defines(orders=second), "a": defines(orders=first)})["orders",]
    assert found.location == owner
    assert {found.location, *found.other_locations} == {"a", "b"}


def test_what_depends_on_an_asset_is_found_in_other_locations_too() -> None:
    upstream = defines(raw=asset(**MATERIALIZABLE))
    downstream = defines(
        raw=asset(is_stub=True), clean=asset(**MATERIALIZABLE, parents=frozenset({("raw",)}), group="sales")
    )
    catalog = merge({"up": upstream, "down": downstream})
    assert catalog["raw",].location == "up"
    assert catalog["raw",].children == (("clean",),)
    assets = {path: it.asset for path, it in catalog.items()}
    assert select("+clean", assets=assets) == {("raw",), ("clean",)}
    assert select("group:sales", assets=assets) == {("clean",)}


def test_whoever_only_looks_finds_what_nobody_can_make() -> None:
    assets: dict[AssetPath, Asset] = {("feed",): asset(), ("orders",): asset(**MATERIALIZABLE)}
    assert select("*", assets=assets) == {("orders",)}
    assert select("*", assets=assets, is_to_look=True) == {("feed",), ("orders",)}
    with pytest.raises(AssetQueryError, match=r"selects no asset\b(?! that)"):
        select("kind:dbt", assets=assets, is_to_look=True)


@pytest.mark.parametrize(
    ("age_h", "expected"),
    [
        (0, FreshnessState.PASSING),
        (11.9, FreshnessState.PASSING),
        (12, FreshnessState.WARNING),
        (23.9, FreshnessState.WARNING),
        (24, FreshnessState.FAILING),
    ],
)
def test_an_age_is_judged_by_both_bounds(age_h: float, expected: FreshnessState) -> None:
    policy = Freshness("time_window", fail_after_s=24 * 3600, warn_after_s=12 * 3600)
    assert freshness(policy, materialized_at=NOON - timedelta(hours=age_h), now=NOON) is expected


@pytest.mark.parametrize(
    ("made_at", "expected"),
    [
        # Due at nine in Berlin, which is seven in UTC; what was made an hour before that, or later, counts.
        ("2026-07-01T06:00", FreshnessState.PASSING),
        ("2026-07-01T05:59", FreshnessState.FAILING),
        ("2026-07-01T11:00", FreshnessState.PASSING),
    ],
)
def test_a_deadline_is_judged_by_its_own_clock(made_at: str, expected: FreshnessState) -> None:
    policy = Freshness("cron", deadline="0 9 * * *", lower_bound_s=3600, timezone="Europe/Berlin")
    at = datetime.fromisoformat(made_at).replace(tzinfo=UTC)
    assert freshness(policy, materialized_at=at, now=NOON) is expected


def _changes(policy: Freshness, *, made_at: datetime) -> list[tuple[datetime, FreshnessState]]:
    """Tell when the state changes by itself after a materialization, by what is said to be the next moment alone."""
    at, found = made_at, []
    while (following := next_change(policy, materialized_at=made_at, now=at)) is not None:
        before = freshness(policy, materialized_at=made_at, now=following - timedelta(microseconds=1))
        after = freshness(policy, materialized_at=made_at, now=following)
        assert before is freshness(policy, materialized_at=made_at, now=at)
        assert before is not after
        found.append((following, after))
        at = following
    return found


def test_an_age_changes_the_state_at_both_bounds() -> None:
    policy = Freshness("time_window", fail_after_s=24 * 3600, warn_after_s=12 * 3600)
    assert _changes(policy, made_at=NOON) == [
        (NOON + timedelta(hours=12), FreshnessState.WARNING),
        (NOON + timedelta(hours=24), FreshnessState.FAILING),
    ]
    assert _changes(Freshness("time_window", fail_after_s=60), made_at=NOON) == [
        (NOON + timedelta(minutes=1), FreshnessState.FAILING)
    ]


@pytest.mark.parametrize(
    ("deadline", "bound_h", "made_at", "fails_at"),
    [
        # Nine in Berlin is seven in UTC. What is made after a deadline serves until the next; what is made shortly before one, until the one after.
        ("0 9 * * *", 1, "2026-07-01T12:00", "2026-07-02T07:00"),
        ("0 9 * * *", 1, "2026-07-01T06:30", "2026-07-02T07:00"),
        ("0 9 * * *", 1, "2026-07-01T06:00", "2026-07-02T07:00"),
        ("0 9 * * *", 1, "2026-07-01T05:59", "2026-07-01T07:00"),
        # A bound that spans several deadlines.
        ("0 9 * * *", 49, "2026-07-01T12:00", "2026-07-04T07:00"),
        ("0 9 * * mon", 1, "2026-07-01T12:00", "2026-07-06T07:00"),
        # Clocks go back on 25 October.
        ("0 9 * * *", 1, "2026-10-24T12:00", "2026-10-25T08:00"),
    ],
)
def test_a_deadline_changes_the_state_once_it_is_missed(
    deadline: str, bound_h: float, made_at: str, fails_at: str
) -> None:
    policy = Freshness("cron", deadline=deadline, lower_bound_s=bound_h * 3600, timezone="Europe/Berlin")
    made, fails = (datetime.fromisoformat(it).replace(tzinfo=UTC) for it in (made_at, fails_at))
    assert freshness(policy, materialized_at=made, now=made) in set(FreshnessState)
    assert _changes(policy, made_at=made)[-1:] == [(fails, FreshnessState.FAILING)]


@pytest.mark.parametrize(
    "policy",
    [
        Freshness("time_window", fail_after_s=1),
        Freshness("cron", deadline="not a cron"),
        Freshness("cron", deadline="0 9 * * *", timezone="Mars/Olympus"),
        Freshness("of a later release"),
    ],
)
def test_what_cannot_be_judged_is_unknown(policy: Freshness) -> None:
    at = None if policy.kind == "time_window" else NOON
    assert freshness(policy, materialized_at=at, now=NOON) is FreshnessState.UNKNOWN
    assert next_change(policy, materialized_at=at, now=NOON) is None


@pytest.mark.parametrize("seconds", [1e15, 1e300])
def test_ages_beyond_all_calendars_never_come(seconds: float) -> None:
    for policy in (
        Freshness("time_window", fail_after_s=seconds),
        Freshness("cron", deadline="0 9 * * *", lower_bound_s=seconds),
    ):
        assert freshness(policy, materialized_at=NOON, now=NOON) is FreshnessState.PASSING
        following = next_change(policy, materialized_at=NOON, now=NOON)
        assert following is None or following > NOON + timedelta(days=300_000)


def row(*, planned: int, evaluated: int, run_state: RunState | None = None) -> CheckState:
    return CheckState(asset="a", check_name="c", planned_id=planned, evaluated_id=evaluated, run_state=run_state)


@pytest.mark.parametrize(
    ("state", "outcome", "expected"),
    [
        (None, "", CheckStatus.NEVER_RUN),
        (row(planned=5, evaluated=0, run_state=RunState.RUNNING), "", CheckStatus.IN_PROGRESS),
        (row(planned=5, evaluated=3, run_state=RunState.RUNNING), "SUCCEEDED", CheckStatus.IN_PROGRESS),
        (row(planned=5, evaluated=3, run_state=RunState.FAILED), "SUCCEEDED", CheckStatus.NOT_EXECUTED),
        (row(planned=5, evaluated=3, run_state=RunState.SUCCEEDED), "SUCCEEDED", CheckStatus.SKIPPED),
        # The run that planned it is gone.
        (row(planned=5, evaluated=3), "SUCCEEDED", CheckStatus.PASSED),
        (row(planned=5, evaluated=0), "", CheckStatus.NEVER_RUN),
        (row(planned=3, evaluated=5), "SUCCEEDED", CheckStatus.PASSED),
        (row(planned=3, evaluated=5), "FAILED", CheckStatus.FAILED),
    ],
)
def test_a_check_is_what_came_of_it_last(state: CheckState | None, outcome: str, expected: CheckStatus) -> None:
    assert check_status(state, outcome=outcome) is expected


def test_a_check_that_is_only_to_warn_warns() -> None:
    state = row(planned=3, evaluated=5)
    assert check_status(state, outcome="FAILED", is_only_to_warn=True) is CheckStatus.WARNED


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (AssetStatus(), Health.UNKNOWN),
        (AssetStatus(checks=[Check("c", CheckStatus.PASSED)]), Health.UNKNOWN),
        (AssetStatus(materialization=MADE), Health.HEALTHY),
        (AssetStatus(materialization=MADE, failed=1), Health.DEGRADED),
        (AssetStatus(failed=1), Health.DEGRADED),
        (AssetStatus(materialization=MADE, checks=[Check("c", CheckStatus.NEVER_RUN)]), Health.HEALTHY),
        (AssetStatus(materialization=MADE, checks=[Check("c", CheckStatus.WARNED)]), Health.WARNING),
        (AssetStatus(materialization=MADE, checks=[Check("c", CheckStatus.NOT_EXECUTED)]), Health.DEGRADED),
        (AssetStatus(materialization=MADE, freshness=FreshnessState.WARNING), Health.WARNING),
        (AssetStatus(materialization=MADE, freshness=FreshnessState.FAILING), Health.DEGRADED),
        (
            AssetStatus(materialization=MADE, checks=[Check("c", CheckStatus.WARNED), Check("d", CheckStatus.FAILED)]),
            Health.DEGRADED,
        ),
    ],
)
def test_an_asset_is_as_well_as_the_worst_of_its_parts(status: AssetStatus, expected: Health) -> None:
    assert status.health is expected
