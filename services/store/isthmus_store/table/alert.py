"""Alerts and their deliveries."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, column

from isthmus_store.column import Instant
from isthmus_store.table.metadata import METADATA, NAME, RUN_ID

ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", RUN_ID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("deployment", NAME, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "deployment", "created_at"),
    Index(None, "subject"),
)

ALERT_DELIVERIES = Table(
    "alert_deliveries",
    METADATA,
    Column("alert_id", RUN_ID, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True),
    Column("endpoint", String(64), primary_key=True),
    Column("next_attempt_at", Instant, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("delivered_at", Instant),
    Column("gave_up_at", Instant),
    Column("last_error", Text, nullable=False),
    Index(
        "ix_alert_deliveries_due",
        "next_attempt_at",
        sqlite_where=column("delivered_at").is_(None) & column("gave_up_at").is_(None),
        postgresql_where=column("delivered_at").is_(None) & column("gave_up_at").is_(None),
    ),
)
