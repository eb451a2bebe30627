"""Agents, locations and what is between them, and the branch deployments that agents serve besides."""

from sqlalchemy import (
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from isthmus_store.column import AttemptRefs, Instant, RowNumber, Standbys, Words, name_of
from isthmus_store.state import AgentState, LocationPhase
from isthmus_store.table.metadata import METADATA, NAME

AGENTS = Table(
    "agents",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("pool", NAME, nullable=False),
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
    Column("former_incarnations", Words),
    Column("code_server_broker_user", Text, nullable=False, server_default=""),
    Column("folder_id", Text, nullable=False, server_default=""),
    Column("folder_since", Instant),
    Column("load_timeout_s", Double, nullable=False, server_default="0"),
    Column("branches", Words),
)

LOCATIONS = Table(
    "locations",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("pool", NAME, nullable=False),
    Column("generation", RowNumber, nullable=False),
    Column("settings", LargeBinary, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("removed_at", Instant),
)

LOCATION_GENERATIONS = Table(
    "location_generations",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("name", NAME, primary_key=True),
    Column("generation", RowNumber, primary_key=True, autoincrement=False),
    Column("pool", NAME, nullable=False),
    Column("settings", LargeBinary, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("applied_by", Text, nullable=False, server_default=""),
    Column("code_version", LargeBinary),
    ForeignKeyConstraint(["deployment", "name"], ["locations.deployment", "locations.name"]),
)

PLACEMENTS = Table(
    "placements",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("location", NAME, primary_key=True),
    Column("agent", NAME, primary_key=True),
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

# Deployments for branches of the code, which agents of another deployment serve.
BRANCHES = Table(
    "branches",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    # The deployment whose agents serve it, and its name there.
    Column("parent", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    # Empty for all agents of the parent.
    Column("pool", NAME, nullable=False),
    Column("code_version", LargeBinary),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    # Its deletion, step by step: it was asked for, and no run is left and its agents are to let go of it.
    Column("deleting_at", Instant),
    Column("deleted_by", Text, nullable=False, server_default=""),
    Column("released_at", Instant),
    UniqueConstraint("parent", "name"),
)

#: What agents sent of snapshots that are too large for one message, half of them or all.
SNAPSHOT_PIECES = Table(
    "snapshot_pieces",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("agent", NAME, primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("piece", RowNumber, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", Instant, nullable=False, index=True),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("hash", String(64), primary_key=True),
    # Empty for one whose bytes are pieces: to write them all here would hold SQLite's write lock for seconds.
    Column("body", LargeBinary, nullable=False),
    Column("stored_at", Instant, nullable=False),
    # Whose pieces they are; empty for one whose bytes are in the body.
    Column("deployment", NAME, nullable=False, server_default=""),
    Column("agent", NAME, nullable=False, server_default=""),
)

# Snapshots that no placement refers to, and since when. Beside them, because a change of a large row writes all of it.
IDLE_SNAPSHOTS = Table(
    "idle_snapshots",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("idle_since", Instant, nullable=False),
)
