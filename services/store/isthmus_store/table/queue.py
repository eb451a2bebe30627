"""What limits the run queue: settings of each deployment, what somebody has paused, and what steps claim of pools."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from isthmus_store.column import Instant, RowNumber
from isthmus_store.table.metadata import METADATA, NAME, RUN_ID

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

# What steps claim of pools. A claim counts while its run has not ended and is at this attempt: who reads it looks at the run.
SLOT_CLAIMS = Table(
    "slot_claims",
    METADATA,
    Column("run_id", RUN_ID, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("step_key", Text, primary_key=True),
    # The try that claims.
    Column("retry_number", Integer, nullable=False),
    Column("deployment", NAME, nullable=False),
    Column("pool", Text, nullable=False),
    # Larger first, then who came first.
    Column("priority", RowNumber, nullable=False),
    Column("wanted_at", Instant, nullable=False),
    # So many of the run's claims may be granted, this one included.
    Column("room", Integer, nullable=False),
    # Since when it has a slot.
    Column("granted_at", Instant),
    Index(None, "deployment"),
)

# Runs whose steps claim slots themselves: such a run does not hold one of each of its pools as a whole.
CLAIMING_RUNS = Table(
    "claiming_runs",
    METADATA,
    Column("run_id", RUN_ID, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    # Whether any of its steps has claimed yet, since it was dispatched.
    Column("has_claimed", Boolean, nullable=False),
)
