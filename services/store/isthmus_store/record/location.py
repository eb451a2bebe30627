"""Locations, their generations, and their placements on agents."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from isthmus_store.state import LocationPhase


class LocationKey(NamedTuple):
    """A location, anywhere."""

    deployment: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedLocation:
    """What somebody wants of a location."""

    deployment: str
    name: str
    #: Agents of this pool may serve it.
    pool: str
    #: A LocationSettings, serialized deterministically, since bytes are compared.
    settings: bytes
    #: Who wants it, for people.
    wanted_by: str = ""
    #: A CodeVersion, serialized deterministically; None where nobody said. Another one than before is a change, too.
    code_version: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A location's wanted generation; `settings` is a LocationSettings."""

    deployment: str
    name: str
    pool: str
    generation: int
    settings: bytes
    applied_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LocationGeneration:
    """One entry of a location's history; `settings` is a LocationSettings, `code_version` a CodeVersion, if anybody said."""

    deployment: str
    name: str
    generation: int
    pool: str
    settings: bytes
    applied_at: datetime
    applied_by: str
    code_version: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A location on an agent, and what the agent last reported of it; `failure` is a Failure (empty for none)."""

    deployment: str
    location: str
    agent: str
    placed_at: datetime
    #: The newest generation that the agent reported on; 0 before the first report.
    generation: int
    phase: LocationPhase
    #: The generation that answers launches; 0 for none.
    serving_generation: int
    failure: bytes
    #: Of the generation that served last; empty before the first.
    snapshot_hash: str
    framework: str
    python_version: str
    reported_at: datetime | None
    #: How far the phase is, in words for people.
    progress: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementReport:
    """What an agent reports of a location; `failure` is a Failure (empty for none)."""

    generation: int
    phase: LocationPhase
    serving_generation: int
    failure: bytes
    snapshot_hash: str
    framework: str
    python_version: str
    reported_at: datetime
    progress: str = ""
