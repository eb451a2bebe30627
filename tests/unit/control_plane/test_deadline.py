"""When a run under way has taken too long."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1.control_plane_pb2 import QueueSettings, RunTimeouts
from isthmus_control_plane.timing.deadline import Stage, TimeRules, deadline_of, deadlines
from isthmus_store.state import ACTIVE_STATES, RunState
from isthmus_store.timeouts import UnderWay

T0 = datetime(2030, 1, 1, tzinfo=UTC)
ALL = TimeRules(start_s=10, cancel_s=20, max_runtime_s=30)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def run(state: RunState, *, max_runtime: str = "", end_asked_at: datetime | None = None, run_id: str = "r") -> UnderWay:
    has_begun = state in {RunState.RUNNING, RunState.CANCELING}
    return UnderWay(
        run_id=run_id,
        deployment="prod",
        attempt=1,
        state=state,
        dispatched_at=T0,
        accepted_at=at(1) if has_begun or state is RunState.STARTING else None,
        # An agent's clock that is wrong.
        started_at=at(-3600) if has_begun else None,
        end_asked_at=end_asked_at,
        max_runtime=max_runtime,
    )


@pytest.mark.parametrize(
    ("under_way", "rules", "stage", "due_at"),
    [
        (run(RunState.DISPATCHED), ALL, Stage.START, at(10)),
        (run(RunState.STARTING), ALL, Stage.START, at(10)),
        (run(RunState.RUNNING), ALL, Stage.RUN, at(31)),
        (run(RunState.RUNNING, max_runtime="4.5"), ALL, Stage.RUN, at(5.5)),
        (run(RunState.RUNNING, max_runtime="4.5"), TimeRules(), Stage.RUN, at(5.5)),
        (run(RunState.RUNNING, max_runtime="long"), ALL, Stage.RUN, at(31)),
        (run(RunState.RUNNING, max_runtime="nan"), ALL, Stage.RUN, at(31)),
        # That is no time, and no way around what the deployment allows.
        (run(RunState.RUNNING, max_runtime="-5"), ALL, Stage.RUN, at(31)),
        (run(RunState.RUNNING, max_runtime="-inf"), ALL, Stage.RUN, at(31)),
        (run(RunState.CANCELING, end_asked_at=at(100)), ALL, Stage.END, at(120)),
    ],
)
def test_each_stage_has_its_time(under_way: UnderWay, rules: TimeRules, stage: Stage, due_at: datetime) -> None:
    deadline = deadline_of(under_way, rules=rules)
    assert deadline is not None
    assert (deadline.stage, deadline.at) == (stage, due_at)


@pytest.mark.parametrize(
    ("under_way", "rules"),
    [
        (run(RunState.RUNNING), TimeRules()),
        (run(RunState.RUNNING), TimeRules(start_s=1, cancel_s=1)),
        # A run may say that it is not to be ended.
        (run(RunState.RUNNING, max_runtime="0"), ALL),
        (run(RunState.CANCELING), ALL),
        (run(RunState.DISPATCHED), TimeRules(max_runtime_s=1)),
    ],
)
def test_what_is_not_limited_has_no_deadline(under_way: UnderWay, rules: TimeRules) -> None:
    assert deadline_of(under_way, rules=rules) is None


def test_the_next_deadline_comes_first() -> None:
    known = [run(RunState.RUNNING, run_id="late"), run(RunState.STARTING, run_id="early"), run(RunState.QUEUED)]
    assert [it.run_id for _, it in deadlines(known, rules={"prod": ALL})] == ["early", "late"]


def test_rules_are_read_from_the_deployments_document() -> None:
    said = QueueSettings(run_timeouts=RunTimeouts(start_s=10, cancel_s=20, max_runtime_s=30))
    assert TimeRules.parse(said.SerializeToString()) == ALL
    assert TimeRules.parse(b"") == TimeRules()


@given(
    st.sampled_from(sorted(ACTIVE_STATES)),
    st.one_of(st.text(max_size=6), st.floats().map(str)),
    st.builds(TimeRules, start_s=st.floats(), cancel_s=st.floats(), max_runtime_s=st.floats()),
)
def test_whatever_is_asked_for_no_deadline_is_before_its_stage(state: RunState, tag: str, rules: TimeRules) -> None:
    deadline = deadline_of(run(state, max_runtime=tag, end_asked_at=T0), rules=rules)
    assert deadline is None or deadline.at >= T0
