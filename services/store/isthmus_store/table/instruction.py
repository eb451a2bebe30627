"""Commands to agents, and what the broker handed back."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, Text, column

from isthmus_store.column import Instant, RowNumber, name_of
from isthmus_store.state import InstructionOutcome
from isthmus_store.table.metadata import METADATA, NAME, RUN_ID

INSTRUCTIONS = Table(
    "instructions",
    METADATA,
    Column("position", RowNumber, primary_key=True, autoincrement=True),
    Column("id", RUN_ID, nullable=False, unique=True),
    Column("deployment", NAME, nullable=False),
    Column("agent", NAME, nullable=False),
    Column("is_control", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("run_id", RUN_ID, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("settled_at", Instant),
    Column("outcome", name_of(InstructionOutcome)),
    Index(None, "run_id", "attempt"),
    Index(
        "ix_instructions_unsettled",
        "not_after",
        sqlite_where=column("settled_at").is_(None),
        postgresql_where=column("settled_at").is_(None),
    ),
    # What is to be published, by where it goes: see `outbox.lanes`.
    Index(
        "ix_instructions_lane",
        "deployment",
        "agent",
        "is_control",
        "position",
        sqlite_where=column("sent_at").is_(None) & column("settled_at").is_(None),
        postgresql_where=column("sent_at").is_(None) & column("settled_at").is_(None),
    ),
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("received_at", Instant, nullable=False),
    Column("queue", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("instruction_id", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
