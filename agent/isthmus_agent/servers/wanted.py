"""What is wanted of a location here, and how patiently it is pursued."""

from dataclasses import dataclass

from isthmus_agent.desired.location import Isolation
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.policy.verdict import Allowed, Verdict


@dataclass(frozen=True)
class WantedLocation:
    """A location as it is to be served here."""

    spec: ServerSpec
    verdict: Verdict
    #: The hash of the snapshot that the control plane holds; empty for none.
    known_snapshot_hash: str
    load_timeout_s: float
    #: None for the host's own way.
    isolation: Isolation | None = None
    #: How many dedicated servers wait, loaded, for a run.
    standby: int = 0
    #: Seconds after which idle servers end; 0 for never.
    idle_ttl_s: float = 0.0

    @property
    def is_allowed(self) -> bool:
        """Whether the agent's policy lets it be served."""
        return isinstance(self.verdict, Allowed)


@dataclass(frozen=True)
class KeeperTiming:
    """How patient a keeper is, in seconds."""

    #: Between the exit of a server that had served and its next start: the first wait, and the longest.
    restart_min_s: float = 0.5
    restart_max_s: float = 60.0
    #: The same after a failed import, which costs more and is mostly mended by a new generation.
    reload_min_s: float = 5.0
    reload_max_s: float = 300.0
    #: How long a server that is taken over may take to tell what it defines.
    adopt_timeout_s: float = 300.0
    #: How long a server that is not needed any more may take to end.
    stop_grace_s: float = 10.0
    #: How long a dedicated server that nobody waits for is kept beyond those that are to stand by.
    surplus_kept_s: float = 15.0
