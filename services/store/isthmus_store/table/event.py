"""Histories of runs, and the index over them."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text, column

from isthmus_store.column import Instant, RowNumber
from isthmus_store.table.metadata import METADATA, NAME, RUN_ID

# No foreign key to runs: whoever appends has locked the run's row, and the check would cost on each event.
EVENTS = Table(
    "events",
    METADATA,
    Column("run_id", RUN_ID, primary_key=True),
    Column("position", RowNumber, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("seq", RowNumber, nullable=False),
    Column("kind", Text, nullable=False),
    Column("step_key", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# What can be asked of events without reading them: of assets and checks, and of the states of runs. The rows are few
# beside the events. Every id is larger than those that were there when it was made, so that a reader can go on after one.
EVENT_INDEX = Table(
    "event_index",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", NAME, nullable=False),
    Column("kind", Text, nullable=False),
    # The asset's path as a JSON list; empty for what is about a run alone.
    Column("asset", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    # Of a check: "PLANNED", "SUCCEEDED" or "FAILED".
    Column("outcome", String(32), nullable=False),
    Column("run_id", RUN_ID, nullable=False),
    Column("position", RowNumber, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    # What the row needs of its event and its run once both are gone. Only rows that are the newest of what they are about
    # outlive their run: they are the state of assets, partitions and checks.
    Column("job_name", Text),
    Column("attempt", Integer),
    Column("body", LargeBinary),
    Index(None, "run_id"),
    Index(
        "ix_event_index_outliving",
        "id",
        sqlite_where=column("body").is_not(None),
        postgresql_where=column("body").is_not(None),
    ),
    Index(None, "deployment", "asset", "kind", "id"),
    Index(None, "deployment", "asset", "kind", "partition", "id"),
    sqlite_autoincrement=True,
)
