"""Which agents must be told their locations again. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from isthmus_store.state import AgentState

from isthmus_control_plane.fleet.facts import Agent, Fleet
from isthmus_control_plane.fleet.placement import Move
from isthmus_control_plane.key import AgentKey, LocationKey


class SyncCause(Enum):
    """Why an agent is told."""

    #: What it should hold is another set than before.
    DESIRED_CHANGED = auto()
    #: It works towards a set that we never sent: it was removed and created again, or our database is an older one.
    REPORT_AHEAD = auto()
    #: It works towards an older set, and its process is a new one, which may have lost what was sent.
    NEW_INCARNATION = auto()
    #: It works towards an older set, and no newer one is on its way.
    REPORT_BEHIND = auto()


@dataclass(frozen=True, slots=True)
class Sync:
    """An agent is to be sent its whole set of locations."""

    agent: AgentKey
    cause: SyncCause

    @property
    def is_new_revision(self) -> bool:
        """Whether the set gets a new number; a repetition keeps the old one."""
        return self.cause in {SyncCause.DESIRED_CHANGED, SyncCause.REPORT_AHEAD}


def plan(fleet: Fleet, *, moves: Iterable[Move] = (), changed: Iterable[LocationKey] = ()) -> list[Sync]:
    """List whom to tell, each agent once, by name.

    Args:
        fleet: Agents, locations and holdings before the moves.
        moves: Locations that change hands now: both sides are told.
        changed: Locations whose spec changed now: their holders are told.
    """
    touched = {agent for move in moves for agent in (move.source, move.target) if agent is not None}
    touched |= {holding.agent for key in changed for holding in fleet.held(key)}
    syncs = []
    for key in sorted(fleet.agents):
        cause = SyncCause.DESIRED_CHANGED if key in touched else _repetition(fleet.agents[key])
        if cause is not None:
            syncs.append(Sync(key, cause))
    return syncs


def _repetition(agent: Agent) -> SyncCause | None:
    """Say why an agent is told again though nothing changed. One that is not heard finds its order in the queue."""
    if agent.state not in {AgentState.ONLINE, AgentState.DRAINING}:
        return None
    if agent.reported_revision > agent.sync_revision:
        return SyncCause.REPORT_AHEAD
    if agent.reported_revision == agent.sync_revision:
        return None
    if agent.incarnation != agent.synced_incarnation:
        return SyncCause.NEW_INCARNATION
    return None if agent.is_sync_underway else SyncCause.REPORT_BEHIND
