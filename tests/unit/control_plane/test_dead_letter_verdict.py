"""What becomes of a command that is said to have died: the store alone decides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from isthmus_control_plane.commands import settlement
from isthmus_control_plane.commands.verdict import MAX_RETURNS, Fate, Standing, judge
from isthmus_store import runs
from isthmus_store.record.agent import Agent
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.record.run import NewRun, Run
from isthmus_store.state import AgentState, InstructionOutcome, RunState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ROW = OutboxInstruction(
    position=1,
    id="i1",
    deployment="default",
    agent="alpha",
    is_control=False,
    kind="launch_run",
    run_id="r1",
    attempt=1,
    body=b"launch",
    created_at=NOW,
    not_after=NOW + timedelta(minutes=5),
    sent_at=NOW,
    settled_at=None,
    outcome=None,
)
AGENT = Agent(
    deployment="default",
    name="alpha",
    pool="default",
    state=AgentState.LOST,
    broker_user="",
    created_at=NOW,
    last_heard_at=None,
    started_at=None,
    incarnation="",
    version="",
    desired_revision=0,
    active_runs=(),
    sync_revision=0,
    synced_incarnation="",
)
RUN = replace(
    runs.as_queued(
        NewRun(run_id="r1", deployment="default", location="sales", job_name="nightly", request=b"", queued_at=NOW)
    ),
    state=RunState.DISPATCHED,
)


def standing(*, agent: Agent | None = AGENT, run: Run | None = RUN, returns: int = 0) -> Standing:
    return Standing(agent=agent, run=run, returns=returns)


@pytest.mark.parametrize(
    ("row", "known", "fate"),
    [
        pytest.param(ROW, standing(), Fate.SEND_AGAIN, id="it waits to be taken"),
        pytest.param(ROW, standing(returns=MAX_RETURNS), Fate.REJECTED, id="it came back too often"),
        pytest.param(ROW, standing(agent=None), Fate.HOMELESS, id="its agent was removed"),
        pytest.param(replace(ROW, not_after=NOW), standing(), Fate.EXPIRED, id="nobody took it in time"),
        pytest.param(
            replace(ROW, settled_at=NOW, outcome=InstructionOutcome.SUCCEEDED),
            standing(),
            Fate.KEEP,
            id="it has an end",
        ),
        pytest.param(ROW, standing(run=replace(RUN, accepted_at=NOW)), Fate.KEEP, id="its run was taken"),
        pytest.param(ROW, standing(run=replace(RUN, state=RunState.FAILED)), Fate.KEEP, id="its run has ended"),
        pytest.param(ROW, standing(run=replace(RUN, attempt=2)), Fate.KEEP, id="another attempt counts"),
        pytest.param(replace(ROW, kind="sync_locations", run_id=""), standing(run=None), Fate.SEND_AGAIN, id="no run"),
    ],
)
def test_the_row_and_its_run_decide(row: OutboxInstruction, known: Standing, fate: Fate) -> None:
    assert judge(row, standing=known, at=NOW) is fate


@pytest.mark.parametrize("fate", Fate)
def test_only_an_end_is_a_loss(fate: Fate) -> None:
    loss = settlement.loss_of(ROW, fate=fate)
    assert (loss is None) == (fate in {Fate.KEEP, Fate.SEND_AGAIN})
