"""Which agents are told their locations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_control_plane.fleet.facts import Agent, Fleet, Holding
from isthmus_control_plane.fleet.placement import Move
from isthmus_control_plane.fleet.sync import Sync, SyncCause, plan
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_store.state import AgentState

ALPHA, BETA = AgentKey("default", "alpha"), AgentKey("default", "beta")
SALES = LocationKey("default", "sales")


def alpha(
    *,
    state: AgentState = AgentState.ONLINE,
    incarnation: str = "life-1",
    revision: int = 4,
    reported: int = 4,
    is_underway: bool = False,
) -> Agent:
    return Agent(
        key=ALPHA,
        pool="default",
        state=state,
        incarnation=incarnation,
        synced_incarnation="life-1",
        sync_revision=revision,
        reported_revision=reported,
        is_sync_underway=is_underway,
    )


@pytest.mark.parametrize(
    ("agent", "cause"),
    [
        pytest.param(alpha(), None, id="it works towards what we want"),
        pytest.param(alpha(incarnation="life-2"), None, id="a new life that remembers"),
        pytest.param(alpha(incarnation="life-2", reported=0), SyncCause.NEW_INCARNATION, id="a new life that forgot"),
        pytest.param(
            alpha(incarnation="life-2", reported=0, is_underway=True),
            SyncCause.NEW_INCARNATION,
            id="what is under way went to the old life",
        ),
        pytest.param(alpha(reported=3), SyncCause.REPORT_BEHIND, id="behind"),
        pytest.param(alpha(reported=3, is_underway=True), None, id="behind, and told only lately"),
        pytest.param(alpha(reported=9), SyncCause.REPORT_AHEAD, id="it remembers more than we do"),
        pytest.param(alpha(revision=0, reported=2), SyncCause.REPORT_AHEAD, id="created again with an old memory"),
        pytest.param(alpha(revision=0, reported=0), None, id="never told anything"),
        pytest.param(alpha(state=AgentState.DRAINING, reported=3), SyncCause.REPORT_BEHIND, id="draining"),
        pytest.param(alpha(state=AgentState.LOST, reported=3), None, id="silent: the order waits in its queue"),
        pytest.param(alpha(state=AgentState.NEW, reported=0), None, id="never heard"),
        pytest.param(alpha(state=AgentState.STOPPED, reported=3), None, id="stopped"),
    ],
)
def test_an_agent_is_told_again_when_it_may_not_know(agent: Agent, cause: SyncCause | None) -> None:
    expected = [Sync(ALPHA, cause)] if cause else []
    assert plan(Fleet.of([agent], locations=[], holdings=[])) == expected


def test_both_sides_of_a_move_are_told_whatever_their_state() -> None:
    agents = [alpha(state=AgentState.LOST), Agent(key=BETA, pool="default", state=AgentState.NEW)]
    fleet = Fleet.of(agents, locations=[], holdings=[])
    orders = plan(fleet, moves=[Move(SALES, ALPHA, BETA)])
    assert [(order.agent, order.is_new_revision) for order in orders] == [(ALPHA, True), (BETA, True)]


def test_the_holder_of_a_changed_location_is_told_and_nobody_else() -> None:
    agents = [alpha(), Agent(key=BETA, pool="default", state=AgentState.ONLINE)]
    fleet = Fleet.of(agents, locations=[], holdings=[Holding(SALES, ALPHA)])
    assert plan(fleet, changed=[SALES]) == [Sync(ALPHA, SyncCause.DESIRED_CHANGED)]


def test_all_holders_of_a_changed_location_are_told() -> None:
    agents = [alpha(), Agent(key=BETA, pool="default", state=AgentState.ONLINE)]
    fleet = Fleet.of(agents, locations=[], holdings=[Holding(SALES, BETA), Holding(SALES, ALPHA)])
    assert [order.agent for order in plan(fleet, changed=[SALES])] == [ALPHA, BETA]


def test_an_agent_that_no_longer_exists_is_not_told() -> None:
    assert plan(Fleet.of([], locations=[], holdings=[]), moves=[Move(SALES, ALPHA, None)]) == []


@given(
    state=st.sampled_from(AgentState),
    incarnation=st.sampled_from(["life-1", "life-2"]),
    revision=st.integers(0, 5),
    reported=st.integers(0, 5),
    is_underway=st.booleans(),
)
def test_a_repetition_keeps_its_number_unless_the_agent_would_ignore_it(
    *, state: AgentState, incarnation: str, revision: int, reported: int, is_underway: bool
) -> None:
    agent = alpha(state=state, incarnation=incarnation, revision=revision, reported=reported, is_underway=is_underway)
    for order in plan(Fleet.of([agent], locations=[], holdings=[])):
        assert order.is_new_revision == (reported > revision)
