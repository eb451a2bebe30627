from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_control_plane.retention.pace import POSTGRESQL_S, SQLITE_S, Pace
from isthmus_control_plane.retention.rules import Rules
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_store.retention.runs import DueRun

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)


def rules(**settings: float) -> Rules:
    given_ = {"broker_url": "amqp://x", "database_url": "sqlite:///x", **settings}
    return Rules.of(ControlPlaneSettings.model_validate(given_), at=NOW)


def test_by_default_everything_that_grows_is_removed_some_day() -> None:
    given_ = rules()
    for name in (
        "runs_ended",
        "instructions_settled",
        "alerts_created",
        "dead_letters_received",
        "snapshots_idle",
        "ticks_ended",
        "ticks_skipped",
    ):
        assert getattr(given_, f"{name}_before") < NOW
    assert given_.dead_letters
    assert given_.generations


def test_zero_keeps_for_ever() -> None:
    assert rules(keep_runs_days=0).runs_ended_before is None
    assert rules(keep_alerts_days=0).alerts_created_before is None


def test_an_alert_outlives_the_time_in_which_its_failure_could_be_told_again() -> None:
    assert rules(keep_alerts_days=0.5).alerts_created_before == NOW - timedelta(days=2)


def test_no_setting_leaves_the_calendar() -> None:
    assert rules(keep_runs_days=36_525).runs_ended_before == NOW - timedelta(days=36_525)
    with pytest.raises(ValueError, match="keep_runs_days"):
        rules(keep_runs_days=1e9)


def test_parts_grow_while_they_are_quick_and_shrink_at_once_when_they_are_not() -> None:
    pace = Pace()
    first = pace.budget
    pace.learn(weight=first, held_s=0.001)
    assert pace.budget > first
    pace.learn(weight=pace.budget, held_s=0.1)
    assert pace.budget < first


def test_where_nobody_waits_parts_are_larger() -> None:
    patient, hasty = Pace(target_s=POSTGRESQL_S), Pace(target_s=SQLITE_S)
    for pace in (patient, hasty):
        pace.learn(weight=pace.budget, held_s=0.05)
    assert patient.budget > hasty.budget


def test_a_small_part_says_nothing_of_large_ones() -> None:
    pace = Pace()
    before = pace.budget
    pace.learn(weight=1, held_s=0.0001)
    assert pace.budget == before


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), max_size=50))
def test_a_part_is_never_empty_nor_without_bound(parts: list[tuple[int, float]]) -> None:
    pace = Pace()
    for weight, held_s in parts:
        pace.learn(weight=weight, held_s=held_s)
        assert 50 <= pace.budget <= 5_000


@given(st.lists(st.integers(1, 200)))
def test_runs_are_taken_in_their_order_as_far_as_they_fit(weights: list[int]) -> None:
    due = [DueRun(str(number), weight) for number, weight in enumerate(weights)]
    pace = Pace()
    fitting = pace.fitting(due)
    assert fitting == due[: len(fitting)]
    assert sum(it.weight for it in fitting) <= pace.budget
    if len(fitting) < len(due):
        assert sum(it.weight for it in due[: len(fitting) + 1]) > pace.budget
