"""Events of runs, and what is indexed of them."""

from dataclasses import dataclass
from datetime import datetime


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
