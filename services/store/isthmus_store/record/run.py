"""Runs, their attempts, and what is wrong with a request."""

from dataclasses import dataclass, field
from datetime import datetime

from isthmus_store.state import RunReason, RunState


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
    #: Where it waits in the queue; empty for the control plane to say later.
    line: str = ""
    #: The pools that its steps use.
    pools: tuple[str, ...] = ()
    #: Those of the steps that it begins with, where each of these is in one; else none.
    root_pools: tuple[str, ...] = ()
    #: The failed run that it follows; None for a run that somebody asked for.
    retry_of: str | None = None
    retry_number: int = 0


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
    #: Where it waits, or waited, in the queue: runs that the same limits hold back share a line. Empty for not said yet.
    line: str = ""
    #: The pools that its steps use.
    pools: tuple[str, ...] = ()
    #: Those of the steps that it begins with, where each of these is in one; else none.
    root_pools: tuple[str, ...] = ()
    #: The failed run that it follows by itself; None for a run that somebody asked for.
    retry_of: str | None = None
    #: The run that follows this one, which failed; None where the failure stands.
    retried_by: str | None = None
    #: Which retry of the first run it is, counted from 1; 0 for a run that is none.
    retry_number: int = 0
    #: When its end was asked for last: by somebody, by its time, or harder because that had come to nothing.
    end_asked_at: datetime | None = None

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
