"""Runs, their tags and their attempts."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    and_,
    column,
    literal_column,
)

from isthmus_store.column import Instant, RowNumber, Violations, Words, name_of
from isthmus_store.state import RunReason, RunState
from isthmus_store.table.metadata import METADATA, NAME, RUN_ID

#: Lines are compared byte by byte: their beginning is the order in which they are looked at.
_LINE = String(200).with_variant(String(200, collation="C"), "postgresql")

RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", RUN_ID, primary_key=True),
    Column("deployment", NAME, nullable=False),
    Column("location", NAME, nullable=False),
    Column("job_name", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("state", name_of(RunState), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reason", name_of(RunReason), nullable=False),
    Column("message", Text, nullable=False),
    Column("agent", NAME, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("dispatched_at", Instant),
    Column("accepted_at", Instant),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("last_position", RowNumber, nullable=False),
    Column("failure", LargeBinary, nullable=False),
    Column("violations", Violations, nullable=False),
    Column("vouched_at", Instant),
    # The runs that the same limits hold back wait in one line. Empty until the control plane has said which.
    Column("line", _LINE, nullable=False),
    # The pools that its steps use.
    Column("pools", Words),
    # Those of the steps that it begins with, where each of these is in one.
    Column("root_pools", Words),
    # Runs that failed, and those that follow them. No run is followed by two.
    Column("retry_of", RUN_ID),
    Column("retried_by", RUN_ID),
    Column("retry_number", Integer, nullable=False, server_default="0"),
    Column("end_asked_at", Instant),
    Index(
        "ix_runs_retry_of",
        "retry_of",
        unique=True,
        sqlite_where=column("retry_of").is_not(None),
        postgresql_where=column("retry_of").is_not(None),
    ),
    Index(None, "deployment", "queued_at", "run_id"),
    Index(None, "deployment", "state", "queued_at", "run_id"),
    # The few runs that still move are looked for all the time, the many that ended never.
    Index(
        "ix_runs_unfinished",
        "queued_at",
        sqlite_where=column("ended_at").is_(None),
        postgresql_where=column("ended_at").is_(None),
    ),
    # Whether anybody waits for a location.
    Index(
        "ix_runs_queue",
        "deployment",
        "location",
        "queued_at",
        "run_id",
        sqlite_where=column("state") == literal_column("'QUEUED'"),
        postgresql_where=column("state") == literal_column("'QUEUED'"),
    ),
    # The queue's lines: see `run_queue`.
    Index(
        "ix_runs_line",
        "line",
        "queued_at",
        "run_id",
        sqlite_where=column("state") == literal_column("'QUEUED'"),
        postgresql_where=column("state") == literal_column("'QUEUED'"),
    ),
    # The runs that hold slots.
    Index(
        "ix_runs_holding",
        "line",
        "run_id",
        sqlite_where=and_(column("dispatched_at").is_not(None), column("ended_at").is_(None)),
        postgresql_where=and_(column("dispatched_at").is_not(None), column("ended_at").is_(None)),
    ),
    # The runs of an agent: where a location has several agents, a run goes to the one with the fewest.
    Index(
        "ix_runs_of_agent",
        "deployment",
        "agent",
        sqlite_where=and_(column("dispatched_at").is_not(None), column("ended_at").is_(None)),
        postgresql_where=and_(column("dispatched_at").is_not(None), column("ended_at").is_(None)),
    ),
    Index(
        "ix_runs_ended",
        "ended_at",
        sqlite_where=column("ended_at").is_not(None),
        postgresql_where=column("ended_at").is_not(None),
    ),
    Index(
        "ix_runs_failed",
        "ended_at",
        sqlite_where=column("state") == literal_column("'FAILED'"),
        postgresql_where=column("state") == literal_column("'FAILED'"),
    ),
)

# Runs that are gone, and whose many events are still being deleted.
REMOVED_RUNS = Table("removed_runs", METADATA, Column("run_id", RUN_ID, primary_key=True))

RUN_TAGS = Table(
    "run_tags",
    METADATA,
    Column("run_id", RUN_ID, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Index(None, "key", "value", "run_id"),
)

RUN_ATTEMPTS = Table(
    "run_attempts",
    METADATA,
    Column("run_id", RUN_ID, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("agent", NAME, nullable=False),
    Column("last_seq", RowNumber, nullable=False),
)
