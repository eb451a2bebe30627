"""Alerts and their deliveries."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, column

from isthmus_store.column import Instant, RowNumber
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
    # The policy that it is told by; empty for what goes to the monitor's own webhooks.
    Column("policy", NAME, nullable=False, server_default=""),
    # By which receivers tell that messages are about the same.
    Column("dedup", String(64), nullable=False, server_default=""),
    # How many facts it tells of.
    Column("facts", Integer, nullable=False, server_default="1"),
    Index(None, "deployment", "created_at"),
    Index(None, "deployment", "policy", "created_at"),
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

# Who is told of what: an AlertPolicy message in each row.
ALERT_POLICIES = Table(
    "alert_policies",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    # Grows by one with each change.
    Column("revision", RowNumber, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("muted_at", Instant),
    Column("muted_until", Instant),
    Column("muted_by", Text, nullable=False, server_default=""),
    Column("mute_why", Text, nullable=False, server_default=""),
)

# What a policy has taken in: each fact once, however often it is looked at.
ALERT_FACTS = Table(
    "alert_facts",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("policy", NAME, primary_key=True),
    Column("fact", String(64), primary_key=True),
    Column("at", Instant, nullable=False, index=True),
)

# What lasts and was told: until it is over.
ALERT_INCIDENTS = Table(
    "alert_incidents",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("policy", NAME, primary_key=True),
    # SHA-256 of the kind and the subject, which may be longer than an index takes.
    Column("dedup", String(64), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("told_at", Instant, nullable=False),
)

# What is gathered for the next message of a policy about one thing, or about all else.
ALERT_GROUPS = Table(
    "alert_groups",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("policy", NAME, primary_key=True),
    Column("dedup", String(64), primary_key=True),
    Column("is_over", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("facts", Integer, nullable=False),
    # The first ones, as a JSON list.
    Column("samples", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
)

# Up to where a reader of the index over events has come.
ALERT_CURSORS = Table(
    "alert_cursors",
    METADATA,
    Column("name", String(63), primary_key=True),
    Column("event_id", RowNumber, nullable=False),
)
