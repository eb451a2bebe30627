"""The run queue: settings, pauses, and the lines in which runs wait."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PauseKind(StrEnum):
    """What can be paused."""

    #: All that decides by itself in the deployment, its queue included.
    DEPLOYMENT = "DEPLOYMENT"
    #: No run leaves the queue.
    QUEUE = "QUEUE"
    LOCATION = "LOCATION"
    AGENT = "AGENT"
    #: A pool of steps and runs, as user code names it.
    POOL = "POOL"


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueSettings:
    """A deployment's settings of its queue, as they were set last; `body` is a QueueSettings message."""

    deployment: str
    revision: int
    body: bytes
    is_limiting: bool
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Something that somebody has paused."""

    deployment: str
    kind: PauseKind
    #: Empty for the deployment and its queue.
    name: str
    paused_by: str
    why: str
    paused_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A line of runs that wait, and the first of them."""

    line: str
    run_id: str
    queued_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """How many runs of a line were dispatched and have not ended, and one of them."""

    line: str
    held: int
    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OnTheWay:
    """How many runs of a location were dispatched to an agent and are not accepted yet."""

    deployment: str
    location: str
    agent: str
    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """How many runs of a line wait, and since when the first of them does."""

    line: str
    waiting: int
    queued_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsorted:
    """A run whose line was told by other rules than those of now."""

    run_id: str
    deployment: str
    location: str
    line: str
    pools: tuple[str, ...]
    root_pools: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotClaim:
    """What a step claims of a pool."""

    run_id: str
    attempt: int
    step_key: str
    #: The try that claims.
    retry_number: int
    deployment: str
    pool: str
    priority: int
    wanted_at: datetime
    #: So many of the run's claims may be granted, this one included.
    room: int
    #: Since when it has a slot; None while it waits.
    granted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolUse:
    """How many steps have slots of a pool, and how many wait for one."""

    deployment: str
    pool: str
    granted: int
    waiting: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimingLine:
    """How many of the runs of a line that hold slots have steps that claim those of pools themselves."""

    line: str
    claiming: int
    #: Those of them that have claimed nothing yet.
    unclaimed: int = 0
