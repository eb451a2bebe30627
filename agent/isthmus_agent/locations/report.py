"""What the control plane is told about a location: made from its state, and sent whenever it differs from the last."""

from dataclasses import dataclass
from enum import Enum

from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.clock import now
from isthmus_agent.hosts.host import StartStep
from isthmus_agent.servers.held import Description, HeldServer
from isthmus_agent.servers.trouble import Breakdown
from isthmus_agent.servers.wanted import WantedLocation


class LocationPhase(Enum):
    """How far the wanted generation has come; the values are the contract's."""

    PULLING = telemetry.LOCATION_PHASE_PULLING
    STARTING = telemetry.LOCATION_PHASE_STARTING
    IMPORTING = telemetry.LOCATION_PHASE_IMPORTING
    SERVING = telemetry.LOCATION_PHASE_SERVING
    FAILED = telemetry.LOCATION_PHASE_FAILED
    REMOVED = telemetry.LOCATION_PHASE_REMOVED
    ASLEEP = telemetry.LOCATION_PHASE_ASLEEP


@dataclass(frozen=True)
class LocationStatus:
    """How a location fares."""

    location: str
    generation: int
    phase: LocationPhase
    serving_generation: int = 0
    #: In phase FAILED: as the definitions' framework told it, or as the agent saw it.
    failure: telemetry.Failure | None = None
    #: How far the phase is, for people; often empty.
    progress: str = ""

    @property
    def message(self) -> str:
        """A line for people."""
        text = f"Location {self.location} generation {self.generation}: {self.phase.name.lower()}"
        if self.failure is not None:
            text += f" ({self.failure.error_class}: {self.failure.message})"
        elif self.progress:
            text += f" ({self.progress})"
        return text


def phase_of(
    wanted: WantedLocation | None,
    *,
    held: HeldServer | None,
    serving: HeldServer | None,
    last: Breakdown | None,
    is_asleep: bool = False,
) -> LocationPhase:
    """Say how far a location has come.

    Args:
        wanted: what is wanted of it.
        held: the server that was started for that, if there is one.
        serving: the server that answers launches.
        is_asleep: its servers ended as it had nothing to do.
        last: what went wrong; it counts while it is tried again too, as what is told changes when the outcome does.
    """
    if wanted is None:
        return LocationPhase.REMOVED
    if is_asleep:
        return LocationPhase.ASLEEP
    if last is not None:
        return LocationPhase.FAILED
    if held is not None and held is serving:
        return LocationPhase.SERVING
    if held is not None and held.is_started:
        return LocationPhase.IMPORTING
    is_pulling = held is not None and held.step is StartStep.PULLING
    return LocationPhase.PULLING if is_pulling else LocationPhase.STARTING


def report_event(
    status: LocationStatus, *, description: Description | None, known_snapshot_hash: str
) -> telemetry.Event:
    """Return the event that tells of a status; the snapshot is left out where the control plane holds it."""
    report = telemetry.LocationReport(
        location=status.location,
        generation=status.generation,
        phase=status.phase.value,
        serving_generation=status.serving_generation,
        failure=status.failure,
        progress=status.progress,
    )
    if description is not None and status.phase in {LocationPhase.SERVING, LocationPhase.ASLEEP}:
        report.snapshot_hash = description.snapshot_hash
        report.framework = description.framework
        report.python_version = description.python_version
        if description.snapshot_hash != known_snapshot_hash:
            report.snapshot.CopyFrom(description.snapshot)
    event = telemetry.Event(message=status.message, location_report=report)
    event.occurred_at.CopyFrom(now())
    return event
