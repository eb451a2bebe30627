"""The rows that callers see: frozen values, one class per thing that is stored.

All times are aware datetimes in UTC, kept to the microsecond. `bytes` fields hold serialized protobuf messages of the
contract, named in each class.
"""

from dataclasses import dataclass, field
from datetime import datetime

from isthmus_store.state import AgentState, InstructionOutcome, LocationPhase, RunReason, RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One fault of a request: a path into it, and what to do about it."""

    field: str
    description: str


@dataclass(frozen=True, order=True, slots=True)
class AttemptRef:
    """One try at a run."""

    run_id: str
    attempt: int


# ----------------------------------------------------------------------------------------------------------------- run


@dataclass(frozen=True, kw_only=True, slots=True)
class NewRun:
    """A run to be queued; `request` is a RunRequest."""

    run_id: str
    deployment: str
    location: str
    job_name: str
    request: bytes
    queued_at: datetime
    requested_by: str = ""
    attempt: int = 1
    message: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run as it stands; `request` is a RunRequest, `failure` a Failure (empty for none)."""

    run_id: str
    deployment: str
    location: str
    job_name: str
    request: bytes
    state: RunState
    #: The try that counts: events of a lower one change nothing.
    attempt: int
    reason: RunReason
    #: One line: why it ended, or why it waits.
    message: str
    #: The agent that it was dispatched to; empty before.
    agent: str
    requested_by: str
    queued_at: datetime
    dispatched_at: datetime | None
    #: When an agent's code server took it, or was seen running it.
    accepted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    #: Where the run's history ends.
    last_position: int
    failure: bytes
    violations: tuple[Violation, ...]
    #: About when someone last vouched for the attempt, told by the monitor that heard it to the others.
    vouched_at: datetime | None = None

    @property
    def ref(self) -> AttemptRef:
        """The attempt that counts."""
        return AttemptRef(self.run_id, self.attempt)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What is known of one try: who has it, and the last of its events that is stored."""

    run_id: str
    attempt: int
    agent: str
    last_seq: int


# --------------------------------------------------------------------------------------------------------------- event


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """What is indexed of an event."""

    #: The asset's path as a JSON list; empty for what is about a run alone.
    asset: str = ""
    partition: str = ""
    check_name: str = ""
    #: Of a check: PLANNED, SUCCEEDED or FAILED.
    outcome: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event to be appended; `body` is the whole Event message as it came."""

    seq: int
    #: The name of the event's body field, or "unknown".
    kind: str
    step_key: str
    occurred_at: datetime
    body: bytes
    #: What is indexed of it; None for nothing.
    fact: Fact | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """An event in its place in the run's history, which counts from 1 without gaps."""

    run_id: str
    position: int
    attempt: int
    seq: int
    kind: str
    step_key: str
    occurred_at: datetime
    stored_at: datetime
    body: bytes


# --------------------------------------------------------------------------------------------------- agent, location


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAgent:
    """An agent to be created."""

    deployment: str
    name: str
    pool: str
    #: The broker account that its messages must carry; empty for the monitor's own.
    broker_user: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Standby:
    """The dedicated code servers of a location that wait on an agent for a run."""

    location: str
    ready: int
    wanted: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """An agent as it stands."""

    deployment: str
    name: str
    pool: str
    state: AgentState
    broker_user: str
    created_at: datetime
    last_heard_at: datetime | None
    started_at: datetime | None
    #: One life of its process; empty while it was never heard.
    incarnation: str
    version: str
    #: The revision of desired locations that it says it works towards.
    desired_revision: int
    active_runs: tuple[AttemptRef, ...]
    #: The revision of what it should hold (`agents.bump_sync`), and the life that SyncLocations was last written for.
    sync_revision: int
    synced_incarnation: str
    #: Of each location that has any, or wants some.
    standbys: tuple[Standby, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentHeard:
    """What one heartbeat says of an agent."""

    deployment: str
    name: str
    state: AgentState
    heard_at: datetime
    started_at: datetime | None
    incarnation: str
    version: str
    desired_revision: int
    active_runs: tuple[AttemptRef, ...]
    standbys: tuple[Standby, ...] = ()


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
    """One entry of a location's history; `settings` is a LocationSettings."""

    deployment: str
    name: str
    generation: int
    pool: str
    settings: bytes
    applied_at: datetime


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


# ---------------------------------------------------------------------------------------------- outbox, alerts, dead


@dataclass(frozen=True, kw_only=True, slots=True)
class NewInstruction:
    """A command to be sent; `body` is an Instruction."""

    id: str
    deployment: str
    agent: str
    is_control: bool
    #: The name of the instruction's body field, as in "launch_run".
    kind: str
    body: bytes
    created_at: datetime
    not_after: datetime
    #: Empty and 0 when the command is about no run.
    run_id: str = ""
    attempt: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxInstruction:
    """A command and how far it came; positions grow in the order of writing."""

    position: int
    id: str
    deployment: str
    agent: str
    is_control: bool
    kind: str
    run_id: str
    attempt: int
    body: bytes
    created_at: datetime
    not_after: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    outcome: InstructionOutcome | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAlert:
    """Something that people want to know. The id is made from what happened, so that it is told once."""

    id: str
    kind: str
    deployment: str
    subject: str
    #: A JSON document, as JSON text.
    payload: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertDelivery:
    """An alert on its way to one receiver."""

    alert_id: str
    #: The receiver's key in the monitor's configuration.
    endpoint: str
    kind: str
    deployment: str
    subject: str
    payload: str
    created_at: datetime
    next_attempt_at: datetime
    tries: int
    delivered_at: datetime | None
    gave_up_at: datetime | None
    last_error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewDeadLetter:
    """A message that nobody could use, as the broker handed it back."""

    received_at: datetime
    queue: str
    reason: str
    #: Empty when the bytes could not be decoded.
    instruction_id: str
    sender: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A kept dead letter."""

    id: int
    received_at: datetime
    queue: str
    reason: str
    instruction_id: str
    sender: str
    body: bytes
