"""What is due about branch deployments, and when nothing of one can be left on any agent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from isthmus_control_plane.branching.plan import EndRuns, Expire, Join, Leave, Release, Remove, Seen, plan, waits_for
from isthmus_control_plane.key import AgentKey
from isthmus_store.record.agent import Agent
from isthmus_store.record.branch import Branch
from isthmus_store.state import AgentState

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
PR = Branch(
    deployment="prod--pr-17",
    parent="prod",
    name="pr-17",
    pool="",
    code_version=None,
    created_by="ci",
    created_at=NOW - timedelta(days=1),
    expires_at=NOW + timedelta(days=6),
)
DELETING = replace(PR, deleting_at=NOW, deleted_by="ana")
RELEASED = replace(DELETING, released_at=NOW)


def agent(name: str = "lab", *, deployment: str = "prod", pool: str = "default", **changes: object) -> Agent:
    made = Agent(
        deployment=deployment,
        name=name,
        pool=pool,
        state=AgentState.ONLINE,
        broker_user=f"agent-{name}",
        created_at=NOW,
        last_heard_at=NOW,
        started_at=NOW,
        incarnation="life-1",
        version="1",
        desired_revision=5,
        active_runs=(),
        sync_revision=5,
        synced_incarnation="life-1",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def guest(name: str = "lab", **changes: object) -> Agent:
    return agent(name, deployment=PR.deployment, **changes)  # type: ignore[arg-type]


def seen(branch: Branch, *agents: Agent, living: int = 0) -> Seen:
    return Seen([branch], {AgentKey(it.deployment, it.name): it for it in agents}, {branch.deployment: living})


def test_each_agent_of_the_parent_serves_a_branch_and_no_other_deployments_does() -> None:
    stranger = agent("stranger", deployment="staging")
    assert plan(seen(PR, agent(), agent("gpu", pool="gpu"), stranger), at=NOW) == [
        Join(PR, agent("gpu", pool="gpu")),
        Join(PR, agent()),
    ]
    assert plan(seen(PR, agent(), guest()), at=NOW) == []


def test_a_branch_of_a_pool_is_served_by_that_pool_and_stays_with_an_agent_that_leaves_it() -> None:
    of_pool = replace(PR, pool="ci")
    assert plan(seen(of_pool, agent(), agent("ci-1", pool="ci")), at=NOW) == [Join(of_pool, agent("ci-1", pool="ci"))]
    moved = agent("ci-1", pool="other")
    assert plan(seen(of_pool, moved, guest("ci-1", pool="other")), at=NOW) == []


def test_an_agent_with_another_account_joins_anew_and_one_that_is_gone_leaves() -> None:
    changed = agent(broker_user="agent-new")
    assert plan(seen(PR, changed, guest()), at=NOW) == [Join(PR, changed)]
    assert plan(seen(PR, guest()), at=NOW) == [Leave(PR, guest())]


def test_a_branch_expires_at_its_time_and_one_without_a_time_never() -> None:
    over = replace(PR, expires_at=NOW)
    assert plan(seen(over, agent(), guest()), at=NOW) == [Expire(over)]
    assert plan(seen(replace(PR, expires_at=None), agent(), guest()), at=NOW + timedelta(days=9999)) == []


def test_runs_and_backfills_end_before_agents_let_go() -> None:
    assert plan(seen(DELETING, agent(), guest(), living=2), at=NOW) == [EndRuns(DELETING)]
    assert plan(seen(DELETING, agent(), guest()), at=NOW) == [Release(DELETING)]
    backfilled = replace(seen(DELETING, agent(), guest()), backfilled=frozenset({PR.deployment}))
    assert plan(backfilled, at=NOW) == []
    assert waits_for(DELETING, seen=backfilled) == "its backfills to end"


@pytest.mark.parametrize(
    ("holder", "is_held"),
    [
        pytest.param(agent(), False, id="it knows, and keeps nothing"),
        pytest.param(agent(desired_revision=4), True, id="it does not know yet"),
        pytest.param(agent(branches=(PR.deployment,)), True, id="it knows, and has not ended it yet"),
        pytest.param(agent(branches=("prod--other",)), False, id="it keeps another one"),
        pytest.param(agent(state=AgentState.STOPPED, branches=(PR.deployment,)), True, id="it went with it"),
        pytest.param(agent(state=AgentState.LOST, desired_revision=4), True, id="it is silent and was not told"),
        pytest.param(agent(state=AgentState.LOST), False, id="it was silent after it had let go"),
        pytest.param(agent(state=AgentState.NEW, incarnation="", desired_revision=0), False, id="it was never heard"),
    ],
)
def test_queues_and_rows_go_when_no_agent_can_have_anything_left(holder: Agent, *, is_held: bool) -> None:
    facts = seen(RELEASED, holder, guest())
    assert plan(facts, at=NOW) == ([] if is_held else [Remove(RELEASED)])
    assert ("lab" in waits_for(RELEASED, seen=facts)) is is_held


def test_an_agent_that_is_gone_for_good_keeps_no_deletion_waiting() -> None:
    assert plan(seen(RELEASED, guest(branches=())), at=NOW) == [Remove(RELEASED)]


def test_an_agent_that_came_back_with_leftovers_and_serves_no_more_is_waited_for() -> None:
    assert plan(seen(RELEASED, agent(branches=(PR.deployment,))), at=NOW) == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (seen(PR, agent()), ""),
        (seen(DELETING, agent(), guest(), living=1), "1 run to end"),
        (seen(DELETING, agent(), guest(), living=3), "3 runs to end"),
        (seen(DELETING, agent(), guest()), "its agents to be told"),
        (seen(RELEASED, agent(state=AgentState.LOST, desired_revision=1), guest()), "lab (LOST) to let go of it"),
        (seen(RELEASED), "its queues and rows to be removed"),
    ],
)
def test_it_is_said_what_a_deletion_waits_for(facts: Seen, said: str) -> None:
    assert waits_for(facts.branches[0], seen=facts) == said
