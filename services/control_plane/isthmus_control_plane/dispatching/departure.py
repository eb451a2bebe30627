"""What goes with a run that leaves the queue: built from its request and from what its location defines now."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from isthmus.v1.control_plane_pb2 import LaunchRunRequest
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_store.queue_line import Needs
from isthmus_store.record.run import Run
from isthmus_store.run_queue import Departure
from isthmus_store.transaction import Transaction

from isthmus_control_plane import history
from isthmus_control_plane.commands import command
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.dispatching.block import View
from isthmus_control_plane.dispatching.lifetime import launch_lifetime
from isthmus_control_plane.dispatching.rules import NO_RULES, Rules
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import AgentKey, LocationKey
from isthmus_control_plane.validation.launch import resolve_job


@dataclass(frozen=True, slots=True)
class Moment:
    """What runs leave by that leave together: what the control plane has, the fleet as it was seen, and the time."""

    core: Core
    seen: World
    view: View
    #: What agents were given, and what is not among the runs that were counted for `seen`.
    given: Counter[AgentKey]
    at: datetime

    @classmethod
    def of(cls, core: Core, *, seen: World, view: View, at: datetime) -> "Moment":
        """Return the moment; `view` is counted on in."""
        return cls(core, seen, view, core.tally.since(seen.read_at), at)

    def take_agent(self, run: Run) -> AgentKey:
        """Choose the agent for a run that leaves, and count it there."""
        place = LocationKey(run.deployment, run.location)
        takers = self.view.takers(place)
        free = [it for it in takers if self.view.has_room(place, it)] or takers
        agents = [self.view.fleet.agents[it] for it in free]
        agent = queue.least_loaded(agents, turn=run.run_id, given=self.given).key
        self.given[agent] += 1
        self.view.on_the_way[place, agent] += 1
        return agent


async def departure(tx: Transaction, run: Run, *, by: Moment, claims_slots: bool = False) -> Departure:
    """Return the command that launches a queued run on an agent of its location, and the event that tells of it.

    Args:
        tx: Any transaction.
        run: The run.
        by: What it leaves by.
        claims_slots: Whether its steps claim slots of their pools.
    """
    core, seen, at = by.core, by.seen, by.at
    key = LocationKey(run.deployment, run.location)
    agent, location = by.take_agent(run), seen.locations.get(key)
    lifetime = launch_lifetime(
        location.settings if location is not None else None,
        agents=[seen.agents[agent]],
        launch_timeout_s=core.settings.launch_timeout_s,
    )
    request = await _request(tx, run, core=core, seen=seen)
    request.claims_slots = claims_slots
    instruction = command.launch(agent, request=request, at=at, lifetime=lifetime)
    event = history.dispatched(run.ref, agent=agent.name, instruction_id=instruction.id, at=at)
    return Departure(agent.name, instruction, event)


def claims_slots(needs: Needs, rules: Mapping[str, Rules]) -> bool:
    """Tell whether the steps of a run that leaves now claim slots of pools."""
    return bool(needs.pools) and rules.get(needs.location.deployment, NO_RULES).are_pools_of_steps


async def _request(tx: Transaction, run: Run, *, core: Core, seen: World) -> RunRequest:
    """Return what the agent is to start; a job left open is resolved now that the definitions are known."""
    request = RunRequest.FromString(run.request)
    request.run.attempt = run.attempt
    if request.job_name:
        return request
    definitions = await core.definitions.get(tx, seen.serving_hash(LocationKey(run.deployment, run.location)))
    if definitions is not None:
        selection = LaunchRunRequest(asset_selection=request.asset_selection, check_selection=request.check_selection)
        request.job_name = resolve_job(selection, definitions=definitions)
    return request
