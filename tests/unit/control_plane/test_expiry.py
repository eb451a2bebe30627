"""When a command without a result is given up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_control_plane.commands.expiry import Hearing, Patience, is_overdue
from isthmus_store.state import AgentState

DEADLINE = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PATIENCE = Patience(grace=timedelta(seconds=60), silence_limit=timedelta(seconds=1200))
LONG_AGO = DEADLINE - timedelta(hours=1)


def after(seconds: float) -> datetime:
    return DEADLINE + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("now", "hearing", "expected"),
    [
        pytest.param(after(30), Hearing(LONG_AGO, AgentState.ONLINE, after(29)), False, id="within the grace"),
        pytest.param(after(61), Hearing(LONG_AGO, AgentState.ONLINE, after(55)), True, id="heard since, no result"),
        pytest.param(after(61), Hearing(LONG_AGO, AgentState.ONLINE, after(-1)), False, id="not heard since"),
        pytest.param(after(61), Hearing(LONG_AGO, AgentState.LOST, after(-500)), False, id="a silent agent may work"),
        pytest.param(after(1201), Hearing(LONG_AGO, AgentState.LOST, after(-500)), True, id="silent for too long"),
        pytest.param(after(1201), Hearing(LONG_AGO, AgentState.NEW, None), True, id="never heard at all"),
        pytest.param(after(61), Hearing(LONG_AGO, AgentState.STOPPED, after(-500)), True, id="it said good-bye"),
        pytest.param(after(61), Hearing(LONG_AGO, None, None), True, id="the agent was removed"),
        pytest.param(after(9999), Hearing(None, AgentState.ONLINE, after(9000)), False, id="the broker is away"),
        pytest.param(after(9999), Hearing(after(9950), AgentState.ONLINE, after(9990)), False, id="it is just back"),
        pytest.param(after(9999), Hearing(after(9930), AgentState.ONLINE, after(9990)), True, id="back for a while"),
    ],
)
def test_a_command_is_given_up_only_when_its_result_would_have_been_heard(
    *, now: datetime, hearing: Hearing, expected: bool
) -> None:
    assert is_overdue(DEADLINE, now=now, patience=PATIENCE, hearing=hearing) is expected


@given(
    now_s=st.floats(-100, 5000),
    connected_s=st.none() | st.floats(-5000, 5000),
    state=st.none() | st.sampled_from(AgentState),
    heard_s=st.none() | st.floats(-5000, 5000),
)
def test_nothing_is_given_up_before_its_grace_or_while_nobody_listens(
    now_s: float, connected_s: float | None, state: AgentState | None, heard_s: float | None
) -> None:
    hearing = Hearing(
        connected_since=None if connected_s is None else after(connected_s),
        state=state,
        last_heard_at=None if heard_s is None else after(heard_s),
    )
    if is_overdue(DEADLINE, now=after(now_s), patience=PATIENCE, hearing=hearing):
        assert connected_s is not None
        assert now_s >= 59.99
        assert now_s - connected_s >= 59.99
