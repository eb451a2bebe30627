"""Where events go, and what they make of their runs."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event
from isthmus_monitor.alert import run_failed
from isthmus_monitor.plan import Known
from isthmus_store.record.run import AttemptRef
from isthmus_store.state import RunReason, RunState
from unit.monitor.rows import NOW, attempt, bulletin, known, planned, run, said, seqs


def test_events_go_behind_what_is_there() -> None:
    plan = planned(known(), bulletin(said(1), said(2)))
    assert [(placed.position, placed.event.seq) for placed in plan.events] == [(3, 1), (4, 2)]
    assert plan.positions == {"r1": 4}
    assert plan.attempts == [attempt(last_seq=2)]
    assert plan.vouched == {AttemptRef("r1", 1)}
    assert plan.runs == []


def test_what_was_stored_before_is_a_duplicate_also_within_a_group() -> None:
    plan = planned(
        known(attempts=[attempt(last_seq=2)]), bulletin(said(1), said(2), said(3)), bulletin(said(3), said(4))
    )
    assert seqs(plan) == [3, 4]
    assert plan.tally == {"duplicate": 3}


def test_a_gap_is_stored_and_counted() -> None:
    plan = planned(known(), bulletin(said(5)))
    assert seqs(plan) == [5]
    assert plan.tally == {"stored_after_gap": 1}


def test_a_stale_attempt_s_events_are_kept_and_change_nothing() -> None:
    rows = known(runs=[run(attempt=2)], attempts=[attempt(), attempt(number=2)])
    plan = planned(rows, bulletin(said(1, run_failed=wire.RunFailed())))
    assert [(placed.attempt, placed.event.kind) for placed in plan.events] == [(1, "run_failed")]
    assert plan.runs == []
    assert plan.alerts == []


def test_late_events_of_a_run_that_ended_are_kept() -> None:
    ended = run(state=RunState.CANCELED, ended_at=NOW)
    plan = planned(known(runs=[ended]), bulletin(said(1, run_succeeded=wire.RunSucceeded())))
    assert seqs(plan) == [1]
    assert plan.runs == []


@pytest.mark.parametrize(
    "rows",
    [
        known(attempts=[attempt(agent_name="barn")]),
        known(attempts=[], runs=[run(agent="barn")]),
        known(attempts=[], runs=[run(agent="", state=RunState.QUEUED)]),
        known(runs=[run(deployment="staging")]),
    ],
)
def test_a_run_of_someone_else_is_not_this_agent_s_to_tell(rows: Known) -> None:
    plan = planned(rows, bulletin(said(1, run_succeeded=wire.RunSucceeded())))
    assert plan.events == []
    assert plan.runs == []
    assert plan.tally == {"foreign": 1}


def test_an_attempt_without_a_row_is_the_run_s_agent_s() -> None:
    plan = planned(known(attempts=[]), bulletin(said(1)))
    assert plan.attempts == [attempt(last_seq=1)]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (said(1, run_id="unknown"), "unknown_run"),
        (said(0), "no_seq"),
        (said(2**63), "no_seq"),
        (Event(seq=1, log_message=wire.LogMessage()), "no_run"),
        (Event(seq=1), "no_run"),
    ],
)
def test_what_belongs_nowhere_is_counted(event: Event, why: str) -> None:
    plan = planned(known(), bulletin(event))
    assert plan.events == []
    assert plan.tally == {why: 1}


def test_an_unknown_body_is_kept_under_that_name() -> None:
    plan = planned(known(), bulletin(said(1, message="newer")))
    assert [placed.event.kind for placed in plan.events] == ["unknown"]


def test_a_failed_run_is_dated_explained_and_told() -> None:
    started = said(1, run_started=wire.RunStarted())
    started.occurred_at.FromDatetime(NOW - timedelta(seconds=9))
    failure = wire.Failure(error_class="ValueError", message="bad\nMore")
    failed = said(2, run_failed=wire.RunFailed(reason=wire.RUN_REASON_USER_ERROR, failure=failure))
    plan = planned(known(), bulletin(started, failed))
    (after,) = plan.runs
    assert (after.state, after.reason, after.message) == (RunState.FAILED, RunReason.USER_ERROR, "ValueError: bad")
    assert (after.started_at, after.ended_at) == (NOW - timedelta(seconds=9), NOW)
    assert wire.Failure.FromString(after.failure) == failure
    assert plan.failed == [after]
    assert run_failed(after, at=NOW).kind == "run.failed"


def test_a_run_that_failed_by_a_step_tells_the_step_and_its_error() -> None:
    failure = wire.Failure(error_class="ValueError", message="bad\nMore")
    body = wire.RunFailed(reason=wire.RUN_REASON_USER_ERROR, failure=failure, step_key="load")
    (after,) = planned(known(), bulletin(said(1, message="Steps failed: ['load']", run_failed=body))).runs
    assert after.message == "step load: ValueError: bad"


def test_the_same_failure_has_the_same_alert_id() -> None:
    batch = bulletin(said(1, run_failed=wire.RunFailed()))
    first, second = (run_failed(planned(known(), batch).failed[0], at=NOW) for _ in range(2))
    assert first.id == second.id
    other = planned(
        known(runs=[run("r2")], attempts=[attempt("r2")]), bulletin(said(1, run_id="r2", run_failed=wire.RunFailed()))
    )
    assert run_failed(other.failed[0], at=NOW).id != first.id


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), max_size=20))
def test_any_replays_store_each_event_once_and_in_order(batches: Sequence[tuple[int, int]]) -> None:
    """A publisher may start again anywhere before what it has confirmed, never beyond it."""
    reached = 0
    bulletins = []
    for back, count in batches:
        start = max(0, reached - back)
        bulletins.append(bulletin(*(said(seq) for seq in range(start + 1, start + count + 1))))
        reached = max(reached, start + count)
    plan = planned(known(), *bulletins)
    assert seqs(plan) == list(range(1, reached + 1))
    assert [placed.position for placed in plan.events] == list(range(3, reached + 3))


def test_a_lost_run_whose_attempt_succeeded_is_told_to_be_back() -> None:
    lost = run(state=RunState.FAILED, reason=RunReason.WORKER_LOST, accepted_at=NOW, ended_at=NOW - timedelta(hours=1))
    plan = planned(known(runs=[lost]), bulletin(said(1, run_succeeded=wire.RunSucceeded())))
    (back,) = plan.runs
    assert (back.state, back.reason, back.message, back.ended_at) == (
        RunState.SUCCEEDED,
        RunReason.UNSPECIFIED,
        "",
        NOW,
    )
    assert [(told.kind, told.subject) for told in plan.alerts] == [("run.recovered", "r1")]


def test_a_lost_attempt_that_another_replaced_stays_lost() -> None:
    rows = known(runs=[run(attempt=2)], attempts=[attempt(), attempt(number=2)])
    plan = planned(rows, bulletin(said(1, run_succeeded=wire.RunSucceeded())))
    assert plan.runs == []
    assert plan.alerts == []
