"""Backfills: what was asked for, the runs that it is made of, and what was decided."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
    literal_column,
)

from isthmus_store.column import Instant, RowNumber, name_of
from isthmus_store.state import BackfillOutcome, BackfillState
from isthmus_store.table.metadata import METADATA, NAME, RUN_ID

#: As in Dagster.
BACKFILL_ID = String(8)

BACKFILLS = Table(
    "backfills",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", NAME, nullable=False),
    Column("backfill_id", BACKFILL_ID, nullable=False),
    # Where all is made in one place, its name, and that of the job; else empty.
    Column("location", NAME, nullable=False),
    Column("job_name", Text, nullable=False),
    # A CreateBackfillRequest message, without its partitions: those are rows.
    Column("request", LargeBinary, nullable=False),
    # A BackfillPlan message: what is made, in which order.
    Column("plan", LargeBinary, nullable=False),
    Column("state", name_of(BackfillState), nullable=False),
    Column("max_runs", Integer, nullable=False),
    Column("requested_by", Text, nullable=False),
    # Of which it does again what failed, and the first of that chain; empty for one of its own.
    Column("parent_id", BACKFILL_ID, nullable=False),
    Column("root_id", BACKFILL_ID, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("paused_at", Instant),
    Column("paused_by", Text, nullable=False),
    UniqueConstraint("deployment", "backfill_id"),
    Index(
        "ix_backfills_unfinished",
        "id",
        sqlite_where=column("ended_at").is_(None),
        postgresql_where=column("ended_at").is_(None),
    ),
    Index(None, "ended_at"),
)

# Each partition is in one run of its backfill, and a run's id follows from its place: none is made twice.
BACKFILL_RUNS = Table(
    "backfill_runs",
    METADATA,
    Column("backfill", RowNumber, ForeignKey("backfills.id", ondelete="CASCADE"), primary_key=True),
    # From 1 on: the groups of the plan in their order, and in each the partitions in theirs.
    Column("number", RowNumber, primary_key=True, autoincrement=False),
    Column("group", Integer, nullable=False),
    # The place of the first partition among all that there were when the backfill was made.
    Column("begin", RowNumber, nullable=False),
    # Keys; empty for what has no partitions.
    Column("first", Text, nullable=False),
    Column("last", Text, nullable=False),
    Column("partitions", RowNumber, nullable=False),
    # The run, or the last of those that followed it. A run that is deleted leaves its outcome here.
    Column("run_id", RUN_ID),
    Column("outcome", name_of(BackfillOutcome), nullable=False),
    Column("problem", Text, nullable=False),
    UniqueConstraint("backfill", "group", "first"),
    Index(
        "ix_backfill_runs_waiting",
        "backfill",
        "number",
        sqlite_where=column("outcome") == literal_column("'WAITING'"),
        postgresql_where=column("outcome") == literal_column("'WAITING'"),
    ),
    Index(
        "ix_backfill_runs_under_way",
        "backfill",
        "number",
        sqlite_where=column("outcome") == literal_column("'UNDER_WAY'"),
        postgresql_where=column("outcome") == literal_column("'UNDER_WAY'"),
    ),
    Index(None, "backfill", "outcome"),
)

BACKFILL_DECISIONS = Table(
    "backfill_decisions",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("backfill", RowNumber, ForeignKey("backfills.id", ondelete="CASCADE"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("text", Text, nullable=False),
    # How many runs were made, or ended.
    Column("runs", RowNumber, nullable=False),
    Index("ix_backfill_decisions_backfill_id", "backfill", "id"),
)
