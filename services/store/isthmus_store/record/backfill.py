"""Backfills, their runs, and how far they came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from isthmus_store.state import BackfillOutcome, BackfillState, RunState


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """A run that a backfill is to make, for partitions that lie side by side."""

    #: From 1 on.
    number: int
    first: str
    last: str
    partitions: int
    #: What it makes: a place in the backfill's plan.
    group: int = 0
    #: The place of its first partition among all that there were when the backfill was made.
    begin: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class NewBackfill:
    """A backfill that somebody wants."""

    deployment: str
    backfill_id: str
    location: str
    job_name: str
    #: A CreateBackfillRequest message, without its partitions.
    request: bytes
    #: A BackfillPlan message: what is made, in which order.
    plan: bytes
    max_runs: int
    requested_by: str
    created_at: datetime
    runs: Sequence[PlannedRun]
    #: The groups of the plan that wait for others.
    blocked: frozenset[int] = frozenset()
    parent_id: str = ""
    root_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfill:
    """A backfill as it stands."""

    id: int
    deployment: str
    backfill_id: str
    location: str
    job_name: str
    request: bytes
    plan: bytes
    state: BackfillState
    max_runs: int
    requested_by: str
    parent_id: str
    root_id: str
    created_at: datetime
    ended_at: datetime | None
    paused_at: datetime | None
    paused_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillRun:
    """One run of a backfill."""

    number: int
    first: str
    last: str
    partitions: int
    run_id: str | None
    outcome: BackfillOutcome
    problem: str
    group: int
    #: Of the run now; None where there is none, or none any more.
    state: RunState | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnderWay:
    """A run of a backfill that was not yet seen to end, and how it stands."""

    number: int
    run_id: str
    #: None once the run is gone.
    state: RunState | None
    #: The run that follows it.
    retried_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """One run of a backfill, as those that wait for it have to know it."""

    number: int
    group: int
    begin: int
    partitions: int
    outcome: BackfillOutcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many runs of a backfill came to something, and how many partitions they are for."""

    outcome: BackfillOutcome
    runs: int
    partitions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillDecision:
    """What was decided about a backfill, and why."""

    at: datetime
    text: str
    runs: int
