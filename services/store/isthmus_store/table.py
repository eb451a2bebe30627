"""The tables, as the newest migration leaves them."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    column,
    literal_column,
)

from isthmus_store.column import AttemptRefs, Instant, RowNumber, Standbys, Violations, name_of
from isthmus_store.state import AgentState, InstructionOutcome, LocationPhase, RunReason, RunState

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Names of deployments, agents, locations: at most 63 characters by the contract.
_NAME = String(63)
_RUN_ID = String(36)


AGENTS = Table(
    "agents",
    METADATA,
    Column("deployment", _NAME, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("pool", _NAME, nullable=False),
    Column("state", name_of(AgentState), nullable=False),
    Column("broker_user", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_heard_at", Instant),
    Column("started_at", Instant),
    Column("incarnation", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("desired_revision", RowNumber, nullable=False),
    Column("active_runs", AttemptRefs, nullable=False),
    Column("sync_revision", RowNumber, nullable=False),
    Column("synced_incarnation", Text, nullable=False),
    Column("standbys", Standbys),
)

LOCATIONS = Table(
    "locations",
    METADATA,
    Column("deployment", _NAME, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("pool", _NAME, nullable=False),
    Column("generation", RowNumber, nullable=False),
    Column("settings", LargeBinary, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("removed_at", Instant),
)

LOCATION_GENERATIONS = Table(
    "location_generations",
    METADATA,
    Column("deployment", _NAME, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("generation", RowNumber, primary_key=True, autoincrement=False),
    Column("pool", _NAME, nullable=False),
    Column("settings", LargeBinary, nullable=False),
    Column("applied_at", Instant, nullable=False),
    ForeignKeyConstraint(["deployment", "name"], ["locations.deployment", "locations.name"]),
)

PLACEMENTS = Table(
    "placements",
    METADATA,
    Column("deployment", _NAME, primary_key=True),
    Column("location", _NAME, primary_key=True),
    Column("agent", _NAME, primary_key=True),
    Column("placed_at", Instant, nullable=False),
    Column("generation", RowNumber, nullable=False),
    Column("phase", name_of(LocationPhase), nullable=False),
    Column("serving_generation", RowNumber, nullable=False),
    Column("failure", LargeBinary, nullable=False),
    Column("snapshot_hash", String(64), nullable=False),
    Column("framework", Text, nullable=False),
    Column("python_version", Text, nullable=False),
    Column("reported_at", Instant),
    Column("progress", Text, nullable=False, server_default=""),
    ForeignKeyConstraint(["deployment", "location"], ["locations.deployment", "locations.name"]),
    ForeignKeyConstraint(["deployment", "agent"], ["agents.deployment", "agents.name"]),
    Index(None, "deployment", "agent"),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", Instant, nullable=False),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", _RUN_ID, primary_key=True),
    Column("deployment", _NAME, nullable=False),
    Column("location", _NAME, nullable=False),
    Column("job_name", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("state", name_of(RunState), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reason", name_of(RunReason), nullable=False),
    Column("message", Text, nullable=False),
    Column("agent", _NAME, nullable=False),
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
    Index(None, "deployment", "queued_at", "run_id"),
    Index(None, "deployment", "state", "queued_at", "run_id"),
    # The few runs that still move are looked for all the time, the many that ended never.
    Index(
        "ix_runs_unfinished",
        "queued_at",
        sqlite_where=column("ended_at").is_(None),
        postgresql_where=column("ended_at").is_(None),
    ),
    Index(
        "ix_runs_failed",
        "ended_at",
        sqlite_where=column("state") == literal_column("'FAILED'"),
        postgresql_where=column("state") == literal_column("'FAILED'"),
    ),
)

RUN_TAGS = Table(
    "run_tags",
    METADATA,
    Column("run_id", _RUN_ID, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Index(None, "key", "value", "run_id"),
)

RUN_ATTEMPTS = Table(
    "run_attempts",
    METADATA,
    Column("run_id", _RUN_ID, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("agent", _NAME, nullable=False),
    Column("last_seq", RowNumber, nullable=False),
)

# No foreign key to runs: whoever appends has locked the run's row, and the check would cost on each event.
EVENTS = Table(
    "events",
    METADATA,
    Column("run_id", _RUN_ID, primary_key=True),
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

INSTRUCTIONS = Table(
    "instructions",
    METADATA,
    Column("position", RowNumber, primary_key=True, autoincrement=True),
    Column("id", _RUN_ID, nullable=False, unique=True),
    Column("deployment", _NAME, nullable=False),
    Column("agent", _NAME, nullable=False),
    Column("is_control", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("run_id", _RUN_ID, nullable=False),
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
    Index(
        "ix_instructions_unsent",
        "position",
        sqlite_where=column("sent_at").is_(None),
        postgresql_where=column("sent_at").is_(None),
    ),
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("id", _RUN_ID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("deployment", _NAME, nullable=False),
    Column("subject", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "deployment", "created_at"),
    Index(None, "subject"),
)

ALERT_DELIVERIES = Table(
    "alert_deliveries",
    METADATA,
    Column("alert_id", _RUN_ID, ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True),
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

# What can be asked of events without reading them: of assets and checks, and of the states of runs. The rows are few
# beside the events. Every id is larger than those that were there when it was made, so that a reader can go on after one.
EVENT_INDEX = Table(
    "event_index",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", _NAME, nullable=False),
    Column("kind", Text, nullable=False),
    # The asset's path as a JSON list; empty for what is about a run alone.
    Column("asset", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    # Of a check: "PLANNED", "SUCCEEDED" or "FAILED".
    Column("outcome", String(32), nullable=False),
    Column("run_id", _RUN_ID, nullable=False),
    Column("position", RowNumber, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Index(None, "deployment", "asset", "kind", "id"),
    Index(None, "deployment", "asset", "kind", "partition", "id"),
    sqlite_autoincrement=True,
)

DYNAMIC_PARTITIONS = Table(
    "dynamic_partitions",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", _NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("added_at", Instant, nullable=False),
    UniqueConstraint("deployment", "name", "key"),
)

# What instances asked to have changed: a query that comes twice changes things once.
APPLIED_QUERIES = Table(
    "applied_queries",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("applied_at", Instant, nullable=False),
    Index(None, "applied_at"),
)
