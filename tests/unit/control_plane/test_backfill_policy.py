"""What is done about a backfill, by how it stands."""

from datetime import UTC, datetime
from typing import Any

import pytest
from isthmus_control_plane.backfills.policy import (
    AT_ONCE,
    Decision,
    EndRuns,
    Finish,
    GiveUp,
    Make,
    Rest,
    Standing,
    decide,
    settled,
)
from isthmus_store.backfills import Move
from isthmus_store.record.backfill import Backfill, UnderWay
from isthmus_store.state import BackfillOutcome, BackfillState, RunState

NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)


def backfill(**told: Any) -> Backfill:
    plain: dict[str, Any] = {
        "id": 1,
        "deployment": "default",
        "backfill_id": "abcdefgh",
        "location": "etl",
        "job_name": "load",
        "request": b"",
        "plan": b"",
        "state": BackfillState.RUNNING,
        "max_runs": 3,
        "requested_by": "",
        "parent_id": "",
        "root_id": "",
        "created_at": NOON,
        "ended_at": None,
        "paused_at": None,
        "paused_by": "",
    }
    return Backfill(**plain | told)


def run(number: int, state: RunState | None = RunState.RUNNING, *, retried_by: str | None = None) -> UnderWay:
    return UnderWay(number=number, run_id=f"run-{number}", state=state, retried_by=retried_by)


CANCELING = backfill(state=BackfillState.CANCELING)
PAUSED = backfill(paused_at=NOON)


@pytest.mark.parametrize(
    ("it", "left", "waiting", "unmet", "decision"),
    [
        (backfill(), 0, "some", "", Make(3)),
        (backfill(), 2, "some", "some", Make(1)),
        (backfill(), 3, "some", "", Rest()),
        (backfill(max_runs=1000), 0, "some", "", Make(AT_ONCE)),
        # The limit was lowered by nobody, but retries may have come on top.
        (backfill(), 5, "some", "", Rest()),
        (backfill(), 1, "", "", Rest()),
        (PAUSED, 0, "some", "", Rest()),
        # Nothing is left that the pause could hold back.
        (PAUSED, 0, "", "", Finish(BackfillState.SUCCEEDED, "Every run succeeded.")),
        (CANCELING, 2, "some", "", GiveUp()),
        (CANCELING, 2, "", "", EndRuns(("run-0", "run-1"))),
        (CANCELING, 0, "", "some", Finish(BackfillState.CANCELED, "It is canceled: no run of it is left.")),
    ],
)
def test_what_is_next_follows_from_how_it_stands(
    it: Backfill, left: int, waiting: str, unmet: str, decision: Decision
) -> None:
    runs = [run(number) for number in range(left)]
    assert decide(Standing(backfill=it, left=runs, has_waiting=bool(waiting), has_unmet=bool(unmet))) == decision


def test_a_backfill_of_which_something_failed_has_failed() -> None:
    decision = decide(Standing(backfill=backfill(), left=[], has_waiting=False, has_unmet=True))
    assert isinstance(decision, Finish)
    assert decision.state is BackfillState.FAILED


def test_runs_that_are_being_ended_are_not_asked_again() -> None:
    left = [run(0, RunState.CANCELING), run(1, RunState.QUEUED)]
    assert decide(Standing(backfill=CANCELING, left=left, has_waiting=False, has_unmet=False)) == EndRuns(("run-1",))
    waiting_for = [run(0, RunState.CANCELING)]
    assert decide(Standing(backfill=CANCELING, left=waiting_for, has_waiting=False, has_unmet=False)) == Rest()


def test_what_ended_is_settled_and_what_is_retried_goes_on() -> None:
    known = [
        run(1, RunState.SUCCEEDED),
        run(2, RunState.FAILED),
        run(3, RunState.CANCELED),
        run(4, RunState.FAILED, retried_by="again"),
        run(5, RunState.QUEUED),
        run(6, None),
    ]
    one, two, three, four, six = settled(known)
    assert one == Move(number=1, outcome=BackfillOutcome.SUCCEEDED, run_id="run-1")
    assert two == Move(number=2, outcome=BackfillOutcome.FAILED, run_id="run-2")
    assert three == Move(number=3, outcome=BackfillOutcome.CANCELED, run_id="run-3")
    assert four == Move(number=4, outcome=BackfillOutcome.UNDER_WAY, run_id="again")
    assert (six.number, six.outcome) == (6, BackfillOutcome.FAILED)
    assert "deleted" in six.problem
