"""Which runs leave the queue, and what the others are told."""

import pytest
from isthmus_control_plane.dispatching.queue import Dispatch, Wait, decide
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
