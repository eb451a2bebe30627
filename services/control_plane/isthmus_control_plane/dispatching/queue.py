"""Where the queued runs of a location can go; or, in words, why they wait for it. Pure: limits are `block`'s affair."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from isthmus_store.state import AgentState

from isthmus_control_plane.fleet.facts import Agent, Fleet, Location
from isthmus_control_plane.fleet.placement import is_live
from isthmus_control_plane.key import AgentKey, LocationKey


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The runs of the location go to this agent now."""

    agent: AgentKey


@dataclass(frozen=True, slots=True)
class Wait:
    """The runs of the location stay in the queue."""

    #: One line for people: what they wait for.
    reason: str


Verdict = Dispatch | Wait

#: A rule says why runs must wait, or None when it has nothing against them.
_Rule = Callable[[LocationKey, Fleet], str | None]


def decide(location: LocationKey, *, fleet: Fleet) -> Verdict:
    """Dispatch a location's runs to the agent that serves it, or say why they wait."""
    reason = next((reason for rule in _RULES if (reason := rule(location, fleet)) is not None), None)
    return Wait(reason) if reason is not None else Dispatch(fleet.holdings[location].agent)


def in_line(location: LocationKey) -> str:
    """Say why a run waits whose location could take it: the runs before it go first."""
    return f"earlier runs of location {location.name} go first"


def _location_exists(key: LocationKey, fleet: Fleet) -> str | None:
    if key in fleet.locations:
        return None
    return f"location {key.name} was removed; apply it again or cancel the run"


def _pool_has_live_agent(key: LocationKey, fleet: Fleet) -> str | None:
    location = fleet.locations[key]
    agents = fleet.pool(location)
    if any(is_live(agent) for agent in agents):
        return None
    if not agents:
        return f"pool {location.pool} has no agent; create one: isthmus agent create NAME"
    return f"no agent of pool {location.pool} is online ({', '.join(_described(agent) for agent in agents)})"


def _holder_is_live(key: LocationKey, fleet: Fleet) -> str | None:
    holder = fleet.holder(key)
    if holder is None:
        return f"location {key.name} is being placed on an agent"
    if is_live(holder):
        return None
    return f"location {key.name} moves to another agent: {_described(holder)}"


def _location_serves(key: LocationKey, fleet: Fleet) -> str | None:
    holding = fleet.holdings[key]
    if holding.serving_generation > 0:
        return None
    location, agent = fleet.locations[key], holding.agent.name
    if holding.has_failed and holding.generation >= location.generation:
        why = holding.failure or "no reason was given"
        return f"location {key.name} did not load on agent {agent}: {why}; mend it and apply it again"
    return _loading(location, agent=agent)


def _loading(location: Location, *, agent: str) -> str:
    return f"location {location.key.name} is loading generation {location.generation} on agent {agent}"


def _described(agent: Agent) -> str:
    words = {
        AgentState.NEW: "was never started",
        AgentState.ONLINE: "is online",
        AgentState.DRAINING: "is draining",
        AgentState.LOST: "is silent",
        AgentState.STOPPED: "is stopped",
    }
    return f"agent {agent.key.name} {words[agent.state]}"


#: Asked in this order; later rules rely on what earlier ones made sure of.
_RULES: Final[tuple[_Rule, ...]] = (_location_exists, _pool_has_live_agent, _holder_is_live, _location_serves)
