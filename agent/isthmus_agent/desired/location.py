"""A code location as it is wanted."""

from dataclasses import dataclass, field
from enum import Enum

from isthmus.v1 import instruction_pb2 as instruction

from isthmus_agent.desired.container import ContainerSpec
from isthmus_agent.desired.source import CodeSource

#: So many dedicated servers of a location stand by at the most, whatever is asked for: each holds the imported project.
MOST_STANDBY = 100


class Isolation(Enum):
    """Where a run executes: off a location's long-lived code server, or in one of its own."""

    SHARED = "shared"
    DEDICATED = "dedicated"


_ISOLATIONS = {
    instruction.ISOLATION_SHARED: Isolation.SHARED,
    instruction.ISOLATION_DEDICATED: Isolation.DEDICATED,
}


@dataclass(frozen=True)
class LocationSpec:
    """One wanted location."""

    name: str
    generation: int
    source: CodeSource
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    #: The hash of a snapshot that the control plane holds, so that it need not be sent.
    known_snapshot_hash: str = ""
    #: Seconds; 0 for the agent's default.
    load_timeout_s: float = 0.0
    container: ContainerSpec = field(default_factory=ContainerSpec)
    #: None for the host's own way.
    isolation: Isolation | None = None
    #: How many dedicated servers wait, loaded, for a run.
    standby: int = 0
    #: Seconds after which idle servers end; 0 for never.
    idle_ttl_s: float = 0.0

    @classmethod
    def from_proto(cls, message: instruction.LocationSpec) -> "LocationSpec":
        """Read the contract's form."""
        return cls(
            name=message.name,
            generation=message.generation,
            source=CodeSource.from_proto(message.source),
            env=tuple(sorted(message.env.items())),
            known_snapshot_hash=message.known_snapshot_hash,
            load_timeout_s=message.load_timeout_s,
            container=ContainerSpec.from_proto(message.container),
            isolation=_ISOLATIONS.get(message.isolation),
            standby=min(message.standby, MOST_STANDBY),
            idle_ttl_s=message.idle_ttl_s,
        )
