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
