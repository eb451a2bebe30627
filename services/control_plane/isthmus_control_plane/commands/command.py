"""Commands to agents, as rows of the outbox."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.instruction_pb2 import Instruction, LocationSpec, RunRequest
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.location import Location
from isthmus_store.record.run import AttemptRef

from isthmus_control_plane import clock
from isthmus_control_plane.key import AgentKey

#: How long an agent may take to come for its locations. Later it is told anew, since its report is behind.
SYNC_LIFETIME: Final = timedelta(minutes=10)
DRAIN_LIFETIME: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class HeldLocation:
    """A location to be served, and the hash of a snapshot that this side has."""

    location: Location
    known_snapshot_hash: str


def launch(agent: AgentKey, *, request: RunRequest, at: datetime, lifetime: timedelta) -> NewInstruction:
    """Tell an agent to start a run's attempt."""
    instruction = _instruction(agent, at=at, lifetime=lifetime)
    instruction.launch_run.request.CopyFrom(request)
    return _row(instruction, about=AttemptRef(request.run.run_id, request.run.attempt))


def drain(agent: AgentKey, *, at: datetime) -> NewInstruction:
    """Tell an agent to take no new runs."""
    instruction = _instruction(agent, at=at, lifetime=DRAIN_LIFETIME)
    instruction.drain_agent.SetInParent()
    return _row(instruction, is_control=True)


def sync(
    agent: AgentKey, *, revision: int, held: Iterable[HeldLocation], branches: Iterable[str] = (), at: datetime
) -> NewInstruction:
    """Tell an agent the whole set of locations that it is to hold, and the branch deployments that it is to serve."""
    instruction = _instruction(agent, at=at, lifetime=SYNC_LIFETIME)
    instruction.sync_locations.revision = revision
    instruction.sync_locations.branches.extend(branches)
    instruction.sync_locations.locations.extend(_spec(it) for it in held)
    return _row(instruction)


def _spec(held: HeldLocation) -> LocationSpec:
    settings = LocationSettings.FromString(held.location.settings)
    return LocationSpec(
        name=held.location.name,
        generation=held.location.generation,
        source=settings.source,
        env=settings.env,
        known_snapshot_hash=held.known_snapshot_hash,
        load_timeout_s=settings.load_timeout_s,
        container=settings.container,
        isolation=settings.isolation,
        standby=settings.standby,
        idle_ttl_s=settings.idle_ttl_s,
    )


def _instruction(agent: AgentKey, *, at: datetime, lifetime: timedelta) -> Instruction:
    return Instruction(
        id=str(uuid4()),
        deployment=agent.deployment,
        agent=agent.name,
        issued_at=clock.stamp(at),
        not_after=clock.stamp(at + lifetime),
    )


def _row(instruction: Instruction, *, is_control: bool = False, about: AttemptRef | None = None) -> NewInstruction:
    return NewInstruction(
        id=instruction.id,
        deployment=instruction.deployment,
        agent=instruction.agent,
        is_control=is_control,
        kind=str(instruction.WhichOneof("body")),
        body=instruction.SerializeToString(),
        created_at=clock.moment(instruction.issued_at),
        not_after=clock.moment(instruction.not_after),
        run_id=about.run_id if about else "",
        attempt=about.attempt if about else 0,
    )
