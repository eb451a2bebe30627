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


def location(name: str = "sales", *, pool: str = "default", replicas: int = 1) -> Location:
    return Location(LocationKey("default", name), pool, 1, replicas)


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


LOST, NEW, DRAINING = AgentState.LOST, AgentState.NEW, AgentState.DRAINING


@pytest.mark.parametrize(
    ("agents", "holders", "targets"),
    [
        pytest.param([agent("a"), agent("b"), agent("c")], "", "ab", id="as many as it is to have"),
        pytest.param([agent("a"), agent("b"), agent("c")], "c", "ac", id="it stays, and comes to another one"),
        pytest.param([agent("a"), agent("b"), agent("c")], "abc", "ab", id="from one too many it is taken"),
        pytest.param([agent("a")], "", "a", id="fewer where there are fewer"),
        pytest.param([agent("a"), agent("b", LOST)], "", "a", id="one that is gone is no replica"),
        pytest.param([agent("a"), agent("b", NEW)], "", "a", id="nor is one that never came"),
        pytest.param([agent("a"), paused("b")], "", "a", id="nor a paused one"),
        pytest.param([agent("a", NEW), agent("b", NEW)], "", "a", id="nobody is there: somebody finds the order"),
        pytest.param(
            [agent("a"), agent("b", LOST)], "ab", "ab", id="one that is gone keeps its place while none is better"
        ),
        pytest.param([agent("a"), agent("b", LOST), agent("c")], "ab", "ac", id="and loses it to one that is there"),
        pytest.param([agent("a"), agent("b", DRAINING), agent("c")], "ab", "ac", id="so does one that drains"),
        pytest.param([agent("a"), paused("b"), agent("c")], "ab", "ac", id="so does one that is paused"),
        pytest.param([agent("a"), paused("b"), agent("c", LOST)], "ab", "ab", id="but to none that is worse"),
        pytest.param(
            [agent("a", LOST), agent("b", LOST), paused("c")], "ab", "ac", id="a paused one is better than none"
        ),
        pytest.param([agent("a"), agent("b"), agent("c", pool="gpu")], "ac", "ab", id="of its pool alone"),
    ],
)
def test_a_location_with_two_replicas_is_on_two_agents_where_two_are_there(
    agents: list[Agent], holders: str, targets: str
) -> None:
    fleet = Fleet.of(agents, locations=[location(replicas=2)], holdings=[held(name) for name in holders])
    after = carried_out(fleet, plan(fleet))
    assert "".join(it.agent.name for it in after.held(SALES)) == targets


def test_of_too_many_agents_those_keep_a_location_that_serve_its_newest_generation() -> None:
    serving = {"a": 1, "b": 2, "c": 2}
    holdings = [Holding(SALES, AgentKey("default", name), 2, generation) for name, generation in serving.items()]
    fleet = Fleet.of([agent(name) for name in "abc"], locations=[location(replicas=2)], holdings=holdings)
    assert plan(fleet) == [Move(SALES, key("a"), None)]


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
    st.builds(location, st.sampled_from(["l1", "l2", "l3", "l4"]), pool=POOLS, replicas=st.integers(1, 3)),
    unique_by=lambda it: it.key,
)
HOLDINGS = st.lists(
    st.builds(held, NAMES, st.sampled_from(["l1", "l2", "l3", "l5"])), unique_by=lambda it: (it.location, it.agent)
)


def carried_out(fleet: Fleet, moves: list[Move]) -> Fleet:
    places = {(it.location, it.agent) for held in fleet.holdings.values() for it in held}
    for move in moves:
        if move.source is not None:
            places.remove((move.location, move.source))
        if move.target is not None:
            assert (move.location, move.target) not in places
            places.add((move.location, move.target))
    holdings = [Holding(location, agent) for location, agent in places]
    return Fleet.of(fleet.agents.values(), locations=fleet.locations.values(), holdings=holdings)


@given(agents=AGENTS, locations=LOCATIONS, holdings=HOLDINGS)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(
    agents: list[Agent], locations: list[Location], holdings: list[Holding]
) -> None:
    fleet = Fleet.of(agents, locations=locations, holdings=holdings)
    after = carried_out(fleet, plan(fleet))
    assert plan(after) == []


@given(agents=AGENTS, locations=LOCATIONS, holdings=HOLDINGS)
def test_whatever_the_fleet_every_location_is_on_the_best_agents_of_its_pool(
    agents: list[Agent], locations: list[Location], holdings: list[Holding]
) -> None:
    fleet = Fleet.of(agents, locations=locations, holdings=holdings)
    after = carried_out(fleet, plan(fleet))
    assert set(after.holdings) <= set(fleet.locations)
    for wanted in fleet.locations.values():
        pool = fleet.pool(wanted)
        holders = after.holders(wanted.key)
        assert bool(holders) == bool(pool)
        assert len(holders) <= wanted.replicas
        assert all(it in pool for it in holders)
        online = [it for it in pool if it.is_live]
        assert sum(it.is_live for it in holders) == min(wanted.replicas, len(online))


@given(agents=AGENTS, locations=LOCATIONS, holdings=HOLDINGS)
def test_nothing_is_taken_from_a_live_agent_of_the_right_pool_unless_it_is_on_too_many(
    agents: list[Agent], locations: list[Location], holdings: list[Holding]
) -> None:
    fleet = Fleet.of(agents, locations=locations, holdings=holdings)
    for wanted in fleet.locations.values():
        live = [it for it in fleet.holders(wanted.key) if it.is_live and it in fleet.pool(wanted)]
        moves = [move for move in plan(fleet) if move.location == wanted.key]
        taken = sum(move.source in {it.key for it in live} for move in moves)
        assert taken == max(0, len(live) - wanted.replicas)


@given(agents=AGENTS, locations=LOCATIONS, holdings=HOLDINGS, name=NAMES)
def test_an_agent_that_is_lost_takes_no_other_place_away(
    agents: list[Agent], locations: list[Location], holdings: list[Holding], name: str
) -> None:
    fleet = Fleet.of(agents, locations=locations, holdings=holdings)
    settled = carried_out(fleet, plan(fleet))
    lost = {it: replace(who, state=LOST) if it.name == name else who for it, who in settled.agents.items()}
    for move in plan(replace(settled, agents=lost)):
        assert move.source is None or move.source.name == name
