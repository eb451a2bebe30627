"""What limits the run queue: settings of each deployment, and what somebody has paused."""

from sqlalchemy import Boolean, Column, LargeBinary, Table, Text

from isthmus_store.column import Instant, RowNumber
from isthmus_store.table.metadata import METADATA, NAME

QUEUE_SETTINGS = Table(
    "queue_settings",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    # Grows by one with each change.
    Column("revision", RowNumber, nullable=False),
    # A QueueSettings message.
    Column("body", LargeBinary, nullable=False),
    # Whether anything is limited: if so, no launch goes past the queue.
    Column("is_limiting", Boolean, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

PAUSES = Table(
    "pauses",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    # What kind of thing is paused: see `PauseKind`.
    Column("kind", Text, primary_key=True),
    # Its name; empty for the deployment and its queue.
    Column("name", Text, primary_key=True),
    Column("paused_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("paused_at", Instant, nullable=False),
)
