"""Which runs leave the queue, and what the others are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_control_plane.dispatching.queue import Dispatch, Share, Wait, deal, decide
from isthmus_control_plane.fleet.facts import Agent, Fleet, Holding, Location
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_store.state import AgentState

SALES = LocationKey("default", "sales")
ALPHA, BETA = AgentKey("default", "alpha"), AgentKey("default", "beta")


def fleet(
    *states: tuple[AgentKey, AgentState], holding: Holding | None = None, generation: int = 3, is_removed: bool = False
) -> Fleet:
    return Fleet.of(
        [Agent(key=key, pool="default", state=state) for key, state in states],
        locations=[] if is_removed else [Location(SALES, "default", generation)],
        holdings=[holding] if holding else [],
    )


def on_alpha(*, generation: int = 0, serving: int = 0, failure: str | None = None) -> Holding:
    return Holding(SALES, ALPHA, generation, serving, failure is not None, failure or "")


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (
            fleet((ALPHA, AgentState.ONLINE), is_removed=True),
            "location sales was removed; apply it again or cancel the run",
        ),
        (fleet(), "pool default has no agent; create one: isthmus agent create NAME"),
        (
            fleet((ALPHA, AgentState.LOST), (BETA, AgentState.NEW), holding=on_alpha()),
            "no agent of pool default is online (agent alpha is silent, agent beta was never started)",
        ),
        (fleet((ALPHA, AgentState.ONLINE)), "location sales is being placed on an agent"),
        (
            fleet((ALPHA, AgentState.DRAINING), (BETA, AgentState.ONLINE), holding=on_alpha(serving=3)),
            "location sales moves to another agent: agent alpha is draining",
        ),
        (
            fleet((ALPHA, AgentState.ONLINE), holding=on_alpha()),
            "location sales is loading generation 3 on agent alpha",
        ),
        (
            fleet((ALPHA, AgentState.ONLINE), holding=on_alpha(generation=3, failure="No module named x")),
            "location sales did not load on agent alpha: No module named x; mend it and apply it again",
        ),
        (
            fleet((ALPHA, AgentState.ONLINE), holding=on_alpha(generation=2, failure="an older fault")),
            "location sales is loading generation 3 on agent alpha",
        ),
    ],
)
def test_a_run_that_cannot_go_is_told_why(seen: Fleet, reason: str) -> None:
    assert decide(SALES, fleet=seen) == Wait(reason)


@pytest.mark.parametrize(
    "holding",
    [
        pytest.param(on_alpha(generation=3, serving=3), id="the wanted generation serves"),
        pytest.param(on_alpha(generation=2, serving=2), id="the one before serves while the wanted one loads"),
        pytest.param(on_alpha(generation=3, serving=2, failure="broken"), id="the one before serves on"),
    ],
)
def test_a_run_goes_to_the_agent_that_serves_its_location(holding: Holding) -> None:
    assert decide(SALES, fleet=fleet((ALPHA, AgentState.ONLINE), holding=holding)) == Dispatch(ALPHA)


def serving(*names: str, deployment: str = "default") -> dict[LocationKey, AgentKey]:
    return {LocationKey(deployment, name): AgentKey(deployment, "alpha") for name in names}


def test_the_room_of_a_round_is_shared_by_deployments_whatever_they_have() -> None:
    shares = deal(serving("a", "b", "c") | serving("d", deployment="staging"), room=12)
    assert {(it.location.name, it.count) for it in shares} == {("a", 2), ("b", 2), ("c", 2), ("d", 6)}


def test_one_location_alone_has_all_the_room() -> None:
    assert deal(serving("a"), room=50) == [Share(LocationKey("default", "a"), AgentKey("default", "alpha"), 50)]
    assert deal({}, room=50) == []


def test_more_locations_than_there_is_room_for_have_their_turn_one_after_the_other() -> None:
    names = [f"l{number:02}" for number in range(25)]
    seen: list[str] = []
    for round_number in range(3):
        shares = deal(serving(*names), room=10, start=10 * round_number)
        assert [it.count for it in shares] == [1] * 10
        seen += [it.location.name for it in shares]
    assert set(seen) == set(names)


@given(
    st.dictionaries(
        st.builds(LocationKey, st.sampled_from(["x", "y", "z"]), st.text("abc", min_size=1, max_size=3)), st.just(ALPHA)
    ),
    st.integers(1, 60),
    st.integers(0, 1000),
)
def test_a_round_is_full_and_nobody_has_much_more_than_another(
    agents: dict[LocationKey, AgentKey], room: int, start: int
) -> None:
    shares = deal(agents, room=room, start=start)
    assert sum(it.count for it in shares) == (room if agents else 0)
    by_deployment: dict[str, list[int]] = {}
    for key in agents:
        count = sum(it.count for it in shares if it.location == key)
        by_deployment.setdefault(key.deployment, []).append(count)
    assert all(max(counts) - min(counts) <= 1 for counts in by_deployment.values())
    totals = [sum(counts) for counts in by_deployment.values()]
    assert not totals or max(totals) - min(totals) <= 1
