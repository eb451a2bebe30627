"""What becomes of commands that an agent had taken when another process took over its name."""

from datetime import datetime, timedelta

import pytest
from isthmus_control_plane.commands.takeover import SETTLING, Fate, is_due, judge
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, RunState
from unit.monitor.rows import NOW, agent, instruction, run

SINCE = NOW - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "its_run", "fate"),
    [
        pytest.param("launch_run", run(), Fate.REPLACE, id="never seen"),
        pytest.param("launch_run", run(accepted_at=NOW), Fate.LEAVE, id="seen at the agent"),
        pytest.param("launch_run", run(attempt=2), Fate.LEAVE, id="at another attempt"),
        pytest.param("launch_run", run(state=RunState.SUCCEEDED), Fate.LEAVE, id="over"),
        pytest.param("launch_run", run(state=RunState.CANCELING), Fate.CALL_OFF, id="never seen, and to end"),
        pytest.param("launch_run", None, Fate.LEAVE, id="gone"),
        pytest.param("terminate_run", run(state=RunState.CANCELING), Fate.SEND_AGAIN, id="its end"),
        pytest.param("terminate_run", run(state=RunState.CANCELED), Fate.LEAVE, id="its end, over"),
        pytest.param("sync_locations", run(), Fate.LEAVE, id="no affair of runs"),
    ],
)
def test_only_what_was_never_seen_is_launched_again(kind: str, its_run: Run | None, fate: Fate) -> None:
    assert judge(instruction(kind), run=its_run) is fate


@pytest.mark.parametrize(
    ("since", "heard", "state", "expected"),
    [
        (None, NOW, AgentState.ONLINE, False),
        (SINCE, None, AgentState.ONLINE, False),
        (SINCE, SINCE + SETTLING / 2, AgentState.ONLINE, False),
        (SINCE, SINCE + SETTLING, AgentState.ONLINE, True),
        (SINCE, SINCE + SETTLING, AgentState.DRAINING, True),
        (SINCE, SINCE + SETTLING, AgentState.LOST, False),
        (SINCE, SINCE + SETTLING, AgentState.STOPPED, False),
        (NOW - timedelta(days=2), NOW, AgentState.ONLINE, False),
    ],
)
def test_a_successor_is_let_speak_before_anything_is_done(
    *, since: datetime | None, heard: datetime | None, state: AgentState, expected: bool
) -> None:
    assert is_due(agent(folder_since=since, last_heard_at=heard, state=state), at=NOW) is expected
