"""What telemetry says, as values."""

from dataclasses import dataclass
from datetime import datetime

from isthmus_store.record.agent import Standby
from isthmus_store.record.event import NewEvent
from isthmus_store.record.location import PlacementReport
from isthmus_store.record.run import AttemptRef, Violation
from isthmus_store.signal import AttemptSignal
from isthmus_store.state import InstructionOutcome, RunReason

#: Deployment and name.
AgentKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of an attempt, and what it means for the run's state, if anything."""

    ref: AttemptRef
    event: NewEvent
    signal: AttemptSignal | None
    #: The tags that the run has by its definitions, told at its start.
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The agent is there."""

    started_at: datetime
    version: str
    is_draining: bool
    desired_revision: int
    active_runs: tuple[AttemptRef, ...]
    standbys: tuple[Standby, ...]
    folder_id: str
    load_timeout_s: float
    #: The branch deployments of which it keeps anything.
    branches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """The agent said good-bye."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """A code server vouches for its attempts."""

    refs: tuple[AttemptRef, ...]


@dataclass(frozen=True, slots=True)
class Reported:
    """How a location fares; `snapshot` is empty when it was left out."""

    location: str
    report: PlacementReport
    snapshot: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """A part of a snapshot that is too large for one message."""

    snapshot_hash: str
    index: int
    count: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """An instruction has its result."""

    instruction_id: str
    outcome: InstructionOutcome
    reason: RunReason
    message: str
    failure: bytes
    violations: tuple[Violation, ...]
    #: The code server that took a launch.
    server: str
    #: A termination found nothing to end.
    was_not_running: bool


@dataclass(frozen=True, slots=True)
class Unusable:
    """An event that nothing can be made of."""

    why: str


OtherNews = Heartbeat | Stopped | Vouched | Reported | Told | Settled | Unusable
News = RunEvent | OtherNews


@dataclass(frozen=True, slots=True)
class Bulletin:
    """All that one batch says, in its order."""

    agent: AgentKey
    #: The account that the broker verified.
    sender: str | None
    routing_key: str
    #: The agent speaks, and not one of its code servers.
    is_agent_itself: bool
    incarnation: str
    news: tuple[News, ...]
