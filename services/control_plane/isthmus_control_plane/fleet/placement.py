"""Which agents hold which location: sticky, on live agents, least loaded first. Pure."""

from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest

from isthmus_store.state import AgentState

from isthmus_control_plane.fleet.facts import Agent, Fleet, Location
from isthmus_control_plane.key import AgentKey, LocationKey

#: Whom to prefer when a location needs an agent. Nobody but ONLINE serves now; a NEW one is about to come up, a
#: draining or lost one comes back under the same name, and whoever comes up first takes the location over.
_PREFERENCE = (
    AgentState.ONLINE,
    AgentState.NEW,
    AgentState.DRAINING,
    AgentState.LOST,
    AgentState.STOPPED,
)


@dataclass(frozen=True, slots=True)
class Move:
    """A location changes hands; `None` stands for nobody."""

    location: LocationKey
    source: AgentKey | None
    target: AgentKey | None


def plan(fleet: Fleet) -> list[Move]:
    """List the moves that put every location where it belongs.

    A location stays where it is while its agents are online, of the right pool and not paused. It is taken from another one
    only where a better one takes it over, and is on no more agents than it has replicas: on fewer where fewer are online.
    One that nobody holds is placed on the best there is, so that its agent finds the order when it comes up.
    Carrying the moves out makes the next plan empty.
    """
    load = Counter(holding.agent for held in fleet.holdings.values() for holding in held)
    moves = []
    for key in sorted(fleet.locations):
        sources = [holding.agent for holding in fleet.held(key)]
        targets = _targets(fleet.locations[key], fleet=fleet, load=load)
        left = [agent for agent in sources if agent not in targets]
        joined = [agent for agent in targets if agent not in sources]
        moves += [Move(key, source, target) for source, target in zip_longest(left, joined)]
        load.subtract(left)
        load.update(joined)
    gone = sorted(key for key in fleet.holdings if key not in fleet.locations)
    return moves + [Move(key, holding.agent, None) for key in gone for holding in fleet.held(key)]


def _targets(location: Location, *, fleet: Fleet, load: Counter[AgentKey]) -> list[AgentKey]:
    """Return the agents that a location belongs on."""
    holders = {it.agent: it.serving_generation for it in fleet.held(location.key)}
    pool = fleet.pool(location)
    good = [it for it in pool if it.key in holders and _rank(it) == 0]
    # Where there are too many, those stay that serve the newest.
    good.sort(key=lambda it: (-holders[it.key], load[it.key], it.key))
    chosen = good[: location.replicas]
    others = [it for it in pool if it not in good]
    others.sort(key=lambda it: (_rank(it), it.key not in holders, _PREFERENCE.index(it.state), load[it.key], it.key))
    for agent in others:
        # Who does not take runs is no further replica; but somebody is to find the order.
        is_of_use = agent.key in holders or _rank(agent) == 0 or not chosen
        if is_of_use and len(chosen) < location.replicas:
            chosen.append(agent)
    return [it.key for it in chosen]


def _rank(agent: Agent) -> int:
    """Rank an agent as somebody to serve: 0 for one that takes runs, 1 for a paused one, 2 for one that is not there."""
    if not agent.is_live:
        return 2
    return 1 if agent.is_paused else 0
