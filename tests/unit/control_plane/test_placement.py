"""Where locations go: examples, and what holds for any fleet."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_control_plane.fleet.facts import Agent, Fleet, Holding, Location
from isthmus_control_plane.fleet.placement import Move, plan
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_store.state import AgentState

SALES = LocationKey("default", "sales")


def agent(
    name: str, state: AgentState = AgentState.ONLINE, *, pool: str = "default", deployment: str = "default"
) -> Agent:
    return Agent(key=AgentKey(deployment, name), pool=pool, state=state)


def paused(name: str) -> Agent:
    return replace(agent(name), is_paused=True)


def location(name: str = "sales", *, pool: str = "default") -> Location:
    return Location(LocationKey("default", name), pool, 1)


def held(by: str, name: str = "sales") -> Holding:
    return Holding(LocationKey("default", name), AgentKey("default", by))


def key(name: str | None) -> AgentKey | None:
    return AgentKey("default", name) if name else None


@pytest.mark.parametrize(
    ("agents", "holder", "target"),
    [
        pytest.param([agent("a"), agent("b")], None, "a", id="nobody holds it: the first of equals"),
        pytest.param([agent("a"), agent("b")], "b", "b", id="it stays where it is"),
        pytest.param([agent("a", AgentState.LOST), agent("b")], "a", "b", id="its agent is gone and another lives"),
        pytest.param([agent("a", AgentState.DRAINING), agent("b")], "a", "b", id="its agent drains and another lives"),
        pytest.param([agent("a", AgentState.NEW), agent("b")], "a", "b", id="its agent never came and another lives"),
        pytest.param(
            [agent("a", AgentState.LOST), agent("b", AgentState.STOPPED)], "a", "a", id="nobody lives: it stays"
        ),
        pytest.param([agent("a", AgentState.LOST), agent("b", AgentState.NEW)], "a", "a", id="a new one is not live"),
        pytest.param([agent("a", AgentState.STOPPED), agent("b", AgentState.NEW)], None, "b", id="new before stopped"),
        pytest.param([agent("a", AgentState.LOST)], None, "a", id="better on a lost agent than on none"),
        pytest.param([agent("a", pool="gpu")], None, None, id="no agent of the pool"),
        pytest.param([agent("a", pool="gpu")], "a", None, id="the pool changed and has no agent"),
        pytest.param([agent("a", pool="gpu"), agent("b")], "a", "b", id="the pool changed"),
        pytest.param([agent("a", deployment="other")], None, None, id="an agent of another deployment"),
        pytest.param([], "a", None, id="its agent was removed"),
        pytest.param([paused("a"), agent("b")], "a", "b", id="its agent is paused and another lives"),
        pytest.param([paused("a"), paused("b")], "a", "a", id="all are paused: it stays"),
        pytest.param([paused("a"), agent("b", AgentState.LOST)], "a", "a", id="paused is better than lost"),
        pytest.param([agent("a", AgentState.LOST), paused("b")], "a", "b", id="and so it moves there"),
        pytest.param([paused("a"), agent("b")], None, "b", id="nobody holds it: one that is not paused"),
    ],
)
def test_a_location_goes_where_it_belongs(agents: list[Agent], holder: str | None, target: str | None) -> None:
    fleet = Fleet.of(agents, locations=[location()], holdings=[held(holder)] if holder else [])
    expected = [] if holder == target else [Move(SALES, key(holder), key(target))]
    assert plan(fleet) == expected


def test_new_locations_go_to_the_least_loaded_agents() -> None:
    locations = [location(name) for name in ("l1", "l2", "l3", "l4", "l5")]
    fleet = Fleet.of([agent("a"), agent("b")], locations=locations, holdings=[held("a", "l1"), held("a", "l2")])
    load = Counter(move.target for move in plan(fleet))
    assert load == {key("b"): 2, key("a"): 1}


def test_a_removed_location_is_taken_from_its_agent() -> None:
    fleet = Fleet.of([agent("a")], locations=[], holdings=[held("a")])
    assert plan(fleet) == [Move(SALES, key("a"), None)]


POOLS = st.sampled_from(["default", "gpu"])
NAMES = st.sampled_from(["a", "b", "c", "d"])
AGENTS = st.lists(st.builds(agent, NAMES, st.sampled_from(AgentState), pool=POOLS), unique_by=lambda it: it.key)
LOCATIONS = st.lists(
    st.builds(location, st.sampled_from(["l1", "l2", "l3", "l4"]), pool=POOLS), unique_by=lambda it: it.key
)
HOLDINGS = st.lists(st.builds(held, NAMES, st.sampled_from(["l1", "l2", "l3", "l5"])), unique_by=lambda it: it.location)


def carried_out(fleet: Fleet, moves: list[Move]) -> Fleet:
    holdings = dict(fleet.holdings)
    for move in moves:
        holdings.pop(move.location, None)
        if move.target is not None:
            holdings[move.location] = Holding(move.location, move.target)
    return Fleet(fleet.agents, fleet.locations, holdings)


@given(agents=AGENTS, locations=LOCATIONS, holdings=HOLDINGS)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    agents: list[Agent], locations: list[Location], holdings: list[Holding]
) -> None:
    fleet = Fleet.of(agents, locations=locations, holdings=holdings)
    after = carried_out(fleet, plan(fleet))
    assert plan(after) == []


@given(agents=AGENTS, locations=LOCATIONS, holdings=HOLDINGS)
def test_whatever_the_fleet_every_location_is_on_the_best_agent_of_its_pool(
    agents: list[Agent], locations: list[Location], holdings: list[Holding]
) -> None:
    fleet = Fleet.of(agents, locations=locations, holdings=holdings)
    after = carried_out(fleet, plan(fleet))
    assert set(after.holdings) <= set(fleet.locations)
    for wanted in fleet.locations.values():
        pool = fleet.pool(wanted)
        holder = after.holder(wanted.key)
        assert (holder is None) == (not pool)
        if holder is not None:
            assert holder in pool
            is_anyone_live = any(it.state is AgentState.ONLINE for it in pool)
            assert (holder.state is AgentState.ONLINE) == is_anyone_live


@given(agents=AGENTS, locations=LOCATIONS, holdings=HOLDINGS)
def test_nothing_is_taken_from_a_live_agent_of_the_right_pool(
    agents: list[Agent], locations: list[Location], holdings: list[Holding]
) -> None:
    fleet = Fleet.of(agents, locations=locations, holdings=holdings)
    for move in plan(fleet):
        holder = fleet.holder(move.location)
        wanted = fleet.locations.get(move.location)
        if holder is not None and wanted is not None and holder in fleet.pool(wanted):
            assert holder.state is not AgentState.ONLINE
