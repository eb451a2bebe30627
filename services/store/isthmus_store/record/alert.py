"""Alerts and their deliveries."""

from dataclasses import dataclass
from datetime import datetime


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
    #: The policy that it is told by; empty for what goes to the monitor's own webhooks.
    policy: str = ""
    #: By which receivers tell that messages are about the same.
    dedup: str = ""
    #: How many facts it tells of.
    facts: int = 1


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
    policy: str = ""
    dedup: str = ""
    facts: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertPolicyRow:
    """Who is told of what; `body` is an AlertPolicy message."""

    deployment: str
    name: str
    revision: int
    body: bytes
    changed_by: str
    changed_at: datetime
    muted_at: datetime | None = None
    #: None, while it is muted, for until somebody unmutes it.
    muted_until: datetime | None = None
    muted_by: str = ""
    mute_why: str = ""

    def is_muted(self, now: datetime) -> bool:
        """Tell whether nothing is sent for it."""
        return self.muted_at is not None and (self.muted_until is None or now < self.muted_until)


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertIncident:
    """Something that lasts, and that a policy has told."""

    deployment: str
    policy: str
    dedup: str
    kind: str
    subject: str
    opened_at: datetime
    told_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertGroup:
    """What is gathered for the next message of a policy about one thing, or about all else."""

    deployment: str
    policy: str
    #: Empty for all else.
    dedup: str
    #: Whether it tells that something is over.
    is_over: int
    kind: str
    subject: str
    facts: int
    #: The first ones, as a JSON list.
    samples: str
    opened_at: datetime
    due_at: datetime
