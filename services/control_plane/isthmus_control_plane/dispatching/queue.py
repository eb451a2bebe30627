"""Where the queued runs of a location can go; or, in words, why they wait for it. Pure: limits are `block`'s affair."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from isthmus_store.state import AgentState

from isthmus_control_plane.fleet.facts import Agent, Fleet, Holding, Location
from isthmus_control_plane.key import AgentKey, LocationKey


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The runs of the location go to these agents now: each to one of them, see `least_loaded`."""

    agents: tuple[Agent, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """The runs of the location stay in the queue."""

    #: One line for people: what they wait for.
    reason: str


Verdict = Dispatch | Wait

_NOBODY: Final[Mapping[AgentKey, int]] = {}

#: A rule says why runs must wait, or None when it has nothing against them.
_Rule = Callable[[LocationKey, Fleet], str | None]


def decide(location: LocationKey, *, fleet: Fleet) -> Verdict:
    """Dispatch a location's runs to the agents that serve it, or say why they wait."""
    reason = next((reason for rule in _RULES if (reason := rule(location, fleet)) is not None), None)
    if reason is not None:
        return Wait(reason)
    return Dispatch(tuple(fleet.agents[it.agent] for it in fleet.takers(location)))


def least_loaded(agents: Iterable[Agent], *, turn: str, given: Mapping[AgentKey, int] = _NOBODY) -> Agent:
    """Return the agent with the fewest runs. Of equal ones it is a matter of the run, so that all have their share.

    Args:
        agents: One at least.
        turn: What goes there: the same is given to the same of equal agents, by whoever decides.
        given: What each was given besides, since its runs were counted.
    """
    return min(agents, key=lambda it: (it.runs + given.get(it.key, 0), _share(turn, it.key)))


def any_of(agents: Iterable[AgentKey], *, turn: str) -> AgentKey:
    """Return one of the agents, whatever they have to do, for a question: all have their share."""
    return min(agents, key=lambda it: _share(turn, it))


def _share(turn: str, agent: AgentKey) -> bytes:
    return blake2b(f"{turn}/{agent.name}".encode(), digest_size=8).digest()


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
    if any(agent.is_live for agent in agents):
        return None
    if not agents:
        return f"pool {location.pool} has no agent; create one: isthmus agent create NAME"
    return f"no agent of pool {location.pool} is online ({', '.join(_described(agent) for agent in agents)})"


def _holder_is_live(key: LocationKey, fleet: Fleet) -> str | None:
    holders = fleet.holders(key)
    if not holders:
        return f"location {key.name} is being placed on an agent"
    if any(agent.is_live for agent in holders):
        return None
    return f"location {key.name} moves to another agent: {', '.join(_described(agent) for agent in holders)}"


def _location_serves(key: LocationKey, fleet: Fleet) -> str | None:
    if fleet.takers(key):
        return None
    location = fleet.locations[key]
    live = [it for it in fleet.held(key) if it.agent in fleet.agents and fleet.agents[it.agent].is_live]
    loading = [it for it in live if not (it.has_failed and it.generation >= location.generation)]
    return _loading(location, on=loading) if loading else _broken(location, on=live)


def _broken(location: Location, *, on: Iterable[Holding]) -> str:
    found = "; ".join(f"agent {it.agent.name}: {it.failure or 'no reason was given'}" for it in on)
    return f"location {location.key.name} did not load on {found}; mend it and apply it again"


def _loading(location: Location, *, on: Iterable[Holding]) -> str:
    agents = ", ".join(it.agent.name for it in on)
    return f"location {location.key.name} is loading generation {location.generation} on agent {agents}"


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
