"""What starts runs by itself: schedules and sensors as they stand, and their ticks."""

from sqlalchemy import (
    Boolean,
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

from isthmus_store.column import Instant, RowNumber, Words, name_of
from isthmus_store.state import InstigatorKind, InstigatorStatus, TickStatus
from isthmus_store.table.metadata import METADATA, NAME, RUN_ID

INSTIGATORS = Table(
    "instigators",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", NAME, nullable=False),
    Column("location", NAME, nullable=False),
    Column("kind", name_of(InstigatorKind), nullable=False),
    # As the location's snapshot has it: unique among its repositories.
    Column("name", Text, nullable=False),
    # What a person decided, and who and when; without a decision the code's own default holds.
    Column("decided", name_of(InstigatorStatus)),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("decided_at", Instant),
    # What its times come from, as a fingerprint: when that changes, they count from then on.
    Column("definition", String(64), nullable=False),
    # Since when its times count: it was started, or its definition changed.
    Column("since", Instant, nullable=False),
    Column("is_running", Boolean, nullable=False),
    Column("last_tick_at", Instant),
    Column("cursor", Text, nullable=False, server_default=""),
    Column("last_run_key", Text, nullable=False, server_default=""),
    # Since when no location defines it.
    Column("gone_at", Instant),
    UniqueConstraint("deployment", "location", "kind", "name"),
)

TICKS = Table(
    "ticks",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("instigator_id", RowNumber, ForeignKey("instigators.id", ondelete="CASCADE"), nullable=False),
    # The time that it is for, which never changes: of a schedule when it was due, of a sensor when it was begun.
    Column("at", Instant, nullable=False),
    Column("status", name_of(TickStatus), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("run_ids", Words),
    Column("skip_reason", Text, nullable=False, server_default=""),
    Column("failure", LargeBinary, nullable=False),
    # How user code's evaluation went, with what it logged: an Evaluation message.
    Column("evaluation", LargeBinary, nullable=False),
    # Where the tick left the cursor.
    Column("cursor", Text, nullable=False, server_default=""),
    UniqueConstraint("instigator_id", "at"),
    Index(
        "ix_ticks_started",
        "instigator_id",
        sqlite_where=column("status") == literal_column("'STARTED'"),
        postgresql_where=column("status") == literal_column("'STARTED'"),
    ),
    Index(None, "ended_at"),
)

# The run keys that a sensor has used: each is good for one run, whatever became of that.
SENSOR_RUN_KEYS = Table(
    "sensor_run_keys",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", NAME, nullable=False),
    Column("location", NAME, nullable=False),
    # As the location's snapshot has it: unique among its repositories.
    Column("sensor", Text, nullable=False),
    # SHA-256 of the key, which may be longer than an index takes.
    Column("digest", String(64), nullable=False),
    Column("run_id", RUN_ID, nullable=False),
    # When it was asked for last, to the day.
    Column("asked_at", Instant, nullable=False),
    UniqueConstraint("deployment", "location", "sensor", "digest"),
    Index(None, "asked_at"),
)

# Conditions with all that they are made of, each once: many assets have the same, tick after tick.
CONDITION_TREES = Table(
    "condition_trees",
    METADATA,
    # Of the body.
    Column("sha256", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# What sensors of automation decided about assets and checks.
ASSET_EVALUATIONS = Table(
    "asset_evaluations",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", NAME, nullable=False),
    # As `fact.asset_text` writes it.
    Column("asset", Text, nullable=False),
    # Empty for the asset itself.
    Column("check_name", Text, nullable=False),
    Column("location", NAME, nullable=False),
    Column("sensor", Text, nullable=False),
    Column("tick_id", RowNumber, nullable=False),
    Column("at", Instant, nullable=False),
    # How many partitions it asked for; 1 for an asset without any.
    Column("requested", RowNumber, nullable=False),
    Column("tree_sha256", String(64), nullable=False),
    # What each node of the tree came to.
    Column("body", LargeBinary, nullable=False),
    Index(None, "deployment", "asset", "check_name", "id"),
    Index(None, "at"),
    Index(None, "tree_sha256"),
)
