"""What the pure parts know of agents and locations: values, read from the store once per decision."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from isthmus_store.state import AgentState

from isthmus_control_plane.key import AgentKey, LocationKey


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as a decision needs to know it."""

    key: AgentKey
    pool: str
    state: AgentState
    #: One life of its process; empty until it was heard.
    incarnation: str = ""
    #: The life that the current desired locations were sent to.
    synced_incarnation: str = ""
    #: The number of the desired set of locations as the store has it.
    sync_revision: int = 0
    #: The number that the agent says it works towards.
    reported_revision: int = 0
    #: A set of locations is on its way already.
    is_sync_underway: bool = False
    #: Somebody has paused it: it gets no runs, though it is online.
    is_paused: bool = False
    #: Runs that it was given and that have not ended, of all locations; counted where a location has several agents.
    runs: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it takes new runs now."""
        return self.state is AgentState.ONLINE


@dataclass(frozen=True, slots=True)
class Location:
    """A location that somebody wants served."""

    key: LocationKey
    pool: str
    generation: int
    #: On how many agents of the pool it is to be.
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Holding:
    """A location on an agent: placed there by us, and as the agent last told of it."""

    location: LocationKey
    agent: AgentKey
    #: The generation that the agent's report is about; 0 before the first.
    generation: int = 0
    #: The generation that answers launches; 0 for none.
    serving_generation: int = 0
    has_failed: bool = False
    #: The first line of what went wrong.
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All agents and locations of one moment."""

    agents: Mapping[AgentKey, Agent]
    locations: Mapping[LocationKey, Location]
    #: Of each location that is placed somewhere, by the agent's name.
    holdings: Mapping[LocationKey, tuple[Holding, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, agents: Iterable[Agent], *, locations: Iterable[Location], holdings: Iterable[Holding]) -> "Fleet":
        """Index the facts."""
        by_location: dict[LocationKey, tuple[Holding, ...]] = {}
        for holding in sorted(holdings, key=lambda it: it.agent):
            by_location[holding.location] = (*by_location.get(holding.location, ()), holding)
        return cls(
            agents={agent.key: agent for agent in agents},
            locations={location.key: location for location in locations},
            holdings=by_location,
        )

    def with_paused(self, paused: Collection[AgentKey]) -> "Fleet":
        """Return the fleet in which it is known which agents are paused."""
        if not paused:
            return self
        agents = {key: replace(agent, is_paused=key in paused) for key, agent in self.agents.items()}
        return replace(self, agents=agents)

    def pool(self, location: Location) -> list[Agent]:
        """List the agents that may serve a location, by name."""
        agents = (agent for agent in self.agents.values() if _is_in_pool(agent, location=location))
        return sorted(agents, key=lambda agent: agent.key)

    def held(self, location: LocationKey) -> tuple[Holding, ...]:
        """List where a location is placed."""
        return self.holdings.get(location, ())

    def holders(self, location: LocationKey) -> list[Agent]:
        """List the agents that a location is placed on, those that still exist."""
        return [self.agents[it.agent] for it in self.held(location) if it.agent in self.agents]

    def takers(self, location: LocationKey) -> list[Holding]:
        """List where runs of a location may go: to live agents that serve it, at the newest generation that serves.

        What is paused is left out, unless nothing else serves.
        """
        there = [it for it in self.held(location) if it.serving_generation > 0]
        live = [it for it in there if it.agent in self.agents and self.agents[it.agent].is_live]
        found = [it for it in live if not self.agents[it.agent].is_paused] or live
        newest = max((it.serving_generation for it in found), default=0)
        return [it for it in found if it.serving_generation == newest]


def _is_in_pool(agent: Agent, *, location: Location) -> bool:
    return agent.key.deployment == location.key.deployment and agent.pool == location.pool
