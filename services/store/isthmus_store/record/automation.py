"""Schedules and sensors as they stand, and their ticks."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from isthmus_store.state import InstigatorKind, InstigatorStatus, TickStatus


class InstigatorKey(NamedTuple):
    """Which schedule or sensor of which location."""

    deployment: str
    location: str
    kind: InstigatorKind
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Defined:
    """A schedule or sensor as a location defines it now."""

    key: InstigatorKey
    #: A fingerprint of what its times come from.
    definition: str
    is_running_by_default: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Instigator:
    """A schedule or sensor as it stands."""

    id: int
    deployment: str
    location: str
    kind: InstigatorKind
    name: str
    #: What a person decided; None where the code's default holds.
    decided: InstigatorStatus | None
    decided_by: str
    decided_at: datetime | None
    definition: str
    #: Since when its times count.
    since: datetime
    is_running: bool
    last_tick_at: datetime | None
    cursor: str
    last_run_key: str
    gone_at: datetime | None

    @property
    def key(self) -> InstigatorKey:
        """Its name."""
        return InstigatorKey(self.deployment, self.location, self.kind, self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """One tick; `failure` is a Failure and `evaluation` an Evaluation (empty for none)."""

    id: int
    instigator_id: int
    at: datetime
    status: TickStatus
    #: How often its evaluation was begun.
    attempts: int
    began_at: datetime
    ended_at: datetime | None
    run_ids: tuple[str, ...]
    skip_reason: str
    failure: bytes
    evaluation: bytes
    cursor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TickEnd:
    """What came of a tick."""

    status: TickStatus
    run_ids: tuple[str, ...] = ()
    skip_reason: str = ""
    failure: bytes = b""
    evaluation: bytes = b""
    #: None leaves the instigator's cursor where it is.
    cursor: str | None = None
    #: Whether the tick keeps the cursor as well.
    is_cursor_kept: bool = True
    last_run_key: str = ""
