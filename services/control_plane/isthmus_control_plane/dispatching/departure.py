"""What goes with a run that leaves the queue: built from its request and from what its location defines now."""

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
from isthmus_control_plane.dispatching.lifetime import launch_lifetime
from isthmus_control_plane.dispatching.rules import NO_RULES, Rules
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import resolve_job


@dataclass(frozen=True, slots=True)
class Moment:
    """What runs leave by that leave together: what the control plane has, the fleet as it was seen, and the time."""

    core: Core
    seen: World
    at: datetime


async def departure(tx: Transaction, run: Run, *, by: Moment, claims_slots: bool = False) -> Departure:
    """Return the command that launches a queued run on its location's agent, and the event that tells of it.

    Args:
        tx: Any transaction.
        run: The run.
        by: What it leaves by.
        claims_slots: Whether its steps claim slots of their pools.
    """
    core, seen, at = by.core, by.seen, by.at
    key = LocationKey(run.deployment, run.location)
    agent, location = seen.fleet.holdings[key].agent, seen.locations.get(key)
    lifetime = launch_lifetime(
        location.settings if location is not None else None,
        agent=seen.agents.get(agent),
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
