"""Which runs leave the queue, and what the others are told."""

from collections import Counter
from dataclasses import replace

import pytest
from isthmus_control_plane.dispatching.queue import Dispatch, Wait, any_of, decide, least_loaded
from isthmus_control_plane.fleet.facts import Agent, Fleet, Holding, Location
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_store.state import AgentState

SALES = LocationKey("default", "sales")
ALPHA, BETA = AgentKey("default", "alpha"), AgentKey("default", "beta")


def fleet(
    *states: tuple[AgentKey, AgentState], holding: Holding | None = None, generation: int = 3, is_removed: bool = False
) -> Fleet:
    return held_by(*states, holdings=[holding] if holding else [], generation=generation, is_removed=is_removed)


def held_by(
    *states: tuple[AgentKey, AgentState], holdings: list[Holding], generation: int = 3, is_removed: bool = False
) -> Fleet:
    return Fleet.of(
        [Agent(key=key, pool="default", state=state) for key, state in states],
        locations=[] if is_removed else [Location(SALES, "default", generation)],
        holdings=holdings,
    )


def on_alpha(*, generation: int = 0, serving: int = 0, failure: str | None = None) -> Holding:
    return Holding(SALES, ALPHA, generation, serving, failure is not None, failure or "")


def on_beta(*, generation: int = 0, serving: int = 0, failure: str | None = None) -> Holding:
    return replace(on_alpha(generation=generation, serving=serving, failure=failure), agent=BETA)


ONLINE = ((ALPHA, AgentState.ONLINE), (BETA, AgentState.ONLINE))


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
    seen = fleet((ALPHA, AgentState.ONLINE), holding=holding)
    assert decide(SALES, fleet=seen) == Dispatch((seen.agents[ALPHA],))


BOTH = [on_alpha(generation=3, serving=3), on_beta(generation=3, serving=3)]


@pytest.mark.parametrize(
    ("seen", "takers"),
    [
        pytest.param(held_by(*ONLINE, holdings=BOTH), [ALPHA, BETA], id="both serve it"),
        pytest.param(
            held_by((ALPHA, AgentState.LOST), ONLINE[1], holdings=BOTH), [BETA], id="one that is gone gets none"
        ),
        pytest.param(
            held_by(*ONLINE, holdings=[on_alpha(generation=2, serving=2), BOTH[1]]), [BETA], id="the newest generation"
        ),
        pytest.param(
            held_by(*ONLINE, holdings=[on_alpha(generation=3, serving=2), on_beta(generation=2, serving=2)]),
            [ALPHA, BETA],
            id="both serve the one before",
        ),
        pytest.param(
            held_by(*ONLINE, holdings=[BOTH[0], on_beta(generation=3, failure="no")]), [ALPHA], id="one cannot load it"
        ),
        pytest.param(held_by(*ONLINE, holdings=BOTH).with_paused({ALPHA}), [BETA], id="one that is paused gets none"),
        pytest.param(
            held_by(*ONLINE, holdings=[BOTH[0], on_beta(generation=2, serving=2)]).with_paused({ALPHA}),
            [BETA],
            id="nor where the other serves the generation before",
        ),
        pytest.param(
            held_by(*ONLINE, holdings=BOTH).with_paused({ALPHA, BETA}), [ALPHA, BETA], id="unless all are paused"
        ),
    ],
)
def test_runs_of_a_location_on_several_agents_go_to_those_that_serve_its_newest(
    seen: Fleet, takers: list[AgentKey]
) -> None:
    assert decide(SALES, fleet=seen) == Dispatch(tuple(seen.agents[key] for key in takers))


@pytest.mark.parametrize(
    ("holdings", "reason"),
    [
        (
            [on_alpha(generation=3, failure="no x"), on_beta(generation=3, failure="no y")],
            "location sales did not load on agent alpha: no x; agent beta: no y; mend it and apply it again",
        ),
        (
            [on_alpha(generation=3, failure="no x"), on_beta()],
            "location sales is loading generation 3 on agent beta",
        ),
        ([on_alpha(), on_beta()], "location sales is loading generation 3 on agent alpha, beta"),
    ],
)
def test_a_run_that_no_agent_takes_is_told_of_all_of_them(holdings: list[Holding], reason: str) -> None:
    assert decide(SALES, fleet=held_by(*ONLINE, holdings=holdings)) == Wait(reason)


def idle(name: str, *, runs: int = 0) -> Agent:
    return Agent(AgentKey("default", name), "default", AgentState.ONLINE, runs=runs)


@pytest.mark.parametrize(
    ("runs", "given", "expected"),
    [((3, 2), {}, BETA), ((2, 3), {}, ALPHA), ((2, 2), {ALPHA: 1}, BETA), ((0, 3), {ALPHA: 4}, BETA)],
)
def test_a_run_goes_to_the_agent_with_the_fewest(
    runs: tuple[int, int], given: dict[AgentKey, int], expected: AgentKey
) -> None:
    agents = [idle("alpha", runs=runs[0]), idle("beta", runs=runs[1])]
    assert least_loaded(agents, turn="r", given=given).key == expected


def test_equal_agents_share_runs_and_a_run_goes_to_the_same_whoever_decides() -> None:
    agents = [idle(name) for name in ("a", "b", "c")]
    turns = [f"run-{number}" for number in range(3_000)]
    shares = Counter(least_loaded(agents, turn=turn).key.name for turn in turns)
    assert all(900 < count < 1_100 for count in shares.values()), shares
    for turn in turns[:100]:
        assert least_loaded(reversed(agents), turn=turn) == least_loaded(agents, turn=turn)
        assert any_of([it.key for it in agents], turn=turn) == least_loaded(agents, turn=turn).key
