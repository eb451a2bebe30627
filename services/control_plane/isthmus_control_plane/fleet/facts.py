"""What the pure parts know of agents and locations: values, read from the store once per decision."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Location:
    """A location that somebody wants served."""

    key: LocationKey
    pool: str
    generation: int


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
    """All agents and locations of one moment. A location is held by one agent at most."""

    agents: Mapping[AgentKey, Agent]
    locations: Mapping[LocationKey, Location]
    holdings: Mapping[LocationKey, Holding] = field(default_factory=dict)

    @classmethod
    def of(cls, agents: Iterable[Agent], *, locations: Iterable[Location], holdings: Iterable[Holding]) -> "Fleet":
        """Index the facts."""
        return cls(
            agents={agent.key: agent for agent in agents},
            locations={location.key: location for location in locations},
            holdings={holding.location: holding for holding in holdings},
        )

    def pool(self, location: Location) -> list[Agent]:
        """List the agents that may serve a location, by name."""
        agents = (agent for agent in self.agents.values() if _is_in_pool(agent, location=location))
        return sorted(agents, key=lambda agent: agent.key)

    def holder(self, location: LocationKey) -> Agent | None:
        """Return the agent that a location is placed on, if it still exists."""
        holding = self.holdings.get(location)
        return self.agents.get(holding.agent) if holding else None


def _is_in_pool(agent: Agent, *, location: Location) -> bool:
    return agent.key.deployment == location.key.deployment and agent.pool == location.pool
