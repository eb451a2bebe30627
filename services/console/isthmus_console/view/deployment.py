"""What of locations and agents needs a hand. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import Agent, AgentState, Location
from isthmus.v1.telemetry_pb2 import LocationPhase
from isthmus_client.words.failure import failure_headline
from isthmus_client.words.value import count_text

from isthmus_console.view.failure import FailureLink, failure_links


@dataclass(frozen=True)
class LocationView:
    """A location, and what is wrong with it; `trouble` is empty when nothing is."""

    location: Location
    trouble: str
    links: Sequence[FailureLink]

    @property
    def source(self) -> str:
        """Where its definitions come from."""
        source = self.location.settings.source
        kind = source.WhichOneof("target")
        return str(getattr(source, kind)) if kind else self.location.settings.container.image


@dataclass(frozen=True)
class AgentView:
    """An agent, and what is wrong with it; `trouble` is empty when nothing is."""

    agent: Agent
    trouble: str


def location_views(locations: Iterable[Location]) -> list[LocationView]:
    """Return locations, those that need a hand first."""
    return sorted(map(_location, locations), key=lambda it: (not it.trouble, it.location.settings.name))


def agent_views(agents: Iterable[Agent]) -> list[AgentView]:
    """Return agents, those that need a hand first."""
    views = [AgentView(agent, _agent_trouble(agent)) for agent in agents]
    return sorted(views, key=lambda it: (not it.trouble, it.agent.name))


def _location(location: Location) -> LocationView:
    pool = location.settings.pool or "default"
    if not location.placements:
        return LocationView(location, f"No agent of pool {pool} has it: start one.", [])
    for placement in location.placements:
        report = placement.report
        if report.phase == LocationPhase.LOCATION_PHASE_FAILED:
            serving = f" Generation {report.serving_generation} goes on serving." if report.serving_generation else ""
            text = (
                f"Generation {report.generation} does not load on {placement.agent}: {failure_headline(report.failure)}"
            )
            return LocationView(
                location, f"{text}{'' if text.endswith('.') else '.'}{serving}", failure_links(report.failure)
            )
    missing = max(1, location.settings.replicas) - len(location.placements)
    if missing > 0:
        return LocationView(location, f"It lacks {count_text(missing, 'agent')} of pool {pool}: start more.", [])
    if all(it.agent_state in _GONE for it in location.placements):
        return LocationView(location, "None of its agents is there: start one again.", [])
    return LocationView(location, "", [])


def _agent_trouble(agent: Agent) -> str:
    match agent.state:
        case AgentState.AGENT_STATE_LOST:
            return "Nothing is heard of it: look at its machine, or at its way to the broker."
        case AgentState.AGENT_STATE_NEW:
            return "It was never started."
        case AgentState.AGENT_STATE_DRAINING:
            return "It takes no new runs until it is started again."
        case _:
            return ""


_GONE = frozenset({AgentState.AGENT_STATE_LOST, AgentState.AGENT_STATE_STOPPED, AgentState.AGENT_STATE_NEW})
