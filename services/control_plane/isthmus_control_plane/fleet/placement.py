"""Which agent holds which location: sticky, on live agents, least loaded first. Pure."""

from collections import Counter
from dataclasses import dataclass

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

    A location stays where it is while its agent is online, of the right pool and not paused. It moves only to an agent that
    is online, and off a paused one only to one that is not; one that nobody holds is placed on the best there is, so that its agent finds the order when it comes up.
    Carrying the moves out makes the next plan empty.
    """
    load = Counter(holding.agent for holding in fleet.holdings.values())
    moves = []
    for key in sorted(fleet.locations):
        location = fleet.locations[key]
        source = fleet.holdings[key].agent if key in fleet.holdings else None
        target = _target(location, fleet=fleet, load=load)
        if target != source:
            moves.append(Move(key, source, target))
            load.subtract([source] if source else [])
            load.update([target] if target else [])
    gone = sorted(key for key in fleet.holdings if key not in fleet.locations)
    moves += [Move(key, fleet.holdings[key].agent, None) for key in gone]
    return moves


def _target(location: Location, *, fleet: Fleet, load: Counter[AgentKey]) -> AgentKey | None:
    candidates = fleet.pool(location)
    holder = fleet.holder(location.key)
    is_holder_fit = holder in candidates
    if holder is not None and is_holder_fit and holder.state is AgentState.ONLINE and not holder.is_paused:
        return holder.key
    if not candidates:
        return None
    best = min(candidates, key=lambda it: (_PREFERENCE.index(it.state), it.is_paused, load[it.key], it.key))
    is_gain = best.state is AgentState.ONLINE and (not best.is_paused or holder is None or not is_live(holder))
    if holder is not None and is_holder_fit and not is_gain:
        return holder.key
    return best.key


def is_live(agent: Agent) -> bool:
    """Tell whether an agent takes new runs now."""
    return agent.state is AgentState.ONLINE
