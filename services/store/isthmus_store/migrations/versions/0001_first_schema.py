"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Types as they were at this step: the package's own may move on.
_NAME = sa.String(63)
_ID = sa.String(36)
_HASH = sa.String(64)
_WORD = sa.String(32)
_INSTANT = sa.BigInteger()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table, those first that others refer to."""
    _agents()
    _alerts()
    _dead_letters()
    _events()
    _instructions()
    _locations()
    _runs()
    _snapshots()
    _alert_deliveries()
    _location_generations()
    _placements()
    _run_attempts()
    _run_tags()


def _agents() -> None:
    op.create_table(
        "agents",
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("pool", _NAME, nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("broker_user", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("last_heard_at", _INSTANT, nullable=True),
        sa.Column("started_at", _INSTANT, nullable=True),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("desired_revision", _NUMBER, nullable=False),
        sa.Column("active_runs", sa.JSON(), nullable=False),
        sa.Column("sync_revision", _NUMBER, nullable=False),
        sa.Column("synced_incarnation", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "name", name="pk_agents"),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_deployment_created_at", "alerts", ["deployment", "created_at"], unique=False)
    op.create_index("ix_alerts_subject", "alerts", ["subject"], unique=False)


def _dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("instruction_id", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letters"),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("position", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", _NUMBER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("occurred_at", _INSTANT, nullable=False),
        sa.Column("stored_at", _INSTANT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_events"),
        sqlite_with_rowid=False,
    )


def _instructions() -> None:
    op.create_table(
        "instructions",
        sa.Column("position", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("agent", _NAME, nullable=False),
        sa.Column("is_control", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("not_after", _INSTANT, nullable=False),
        sa.Column("sent_at", _INSTANT, nullable=True),
        sa.Column("settled_at", _INSTANT, nullable=True),
        sa.Column("outcome", _WORD, nullable=True),
        sa.PrimaryKeyConstraint("position", name="pk_instructions"),
        sa.UniqueConstraint("id", name="uq_instructions_id"),
    )
    op.create_index("ix_instructions_run_id_attempt", "instructions", ["run_id", "attempt"], unique=False)
    op.create_index(
        "ix_instructions_unsent",
        "instructions",
        ["position"],
        unique=False,
        sqlite_where=sa.text("sent_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL"),
    )
    op.create_index(
        "ix_instructions_unsettled",
        "instructions",
        ["not_after"],
        unique=False,
        sqlite_where=sa.text("settled_at IS NULL"),
        postgresql_where=sa.text("settled_at IS NULL"),
    )


def _locations() -> None:
    op.create_table(
        "locations",
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("pool", _NAME, nullable=False),
        sa.Column("generation", _NUMBER, nullable=False),
        sa.Column("settings", sa.LargeBinary(), nullable=False),
        sa.Column("applied_at", _INSTANT, nullable=False),
        sa.Column("removed_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("deployment", "name", name="pk_locations"),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("location", _NAME, nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("state", _WORD, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("reason", _WORD, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("agent", _NAME, nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("queued_at", _INSTANT, nullable=False),
        sa.Column("dispatched_at", _INSTANT, nullable=True),
        sa.Column("accepted_at", _INSTANT, nullable=True),
        sa.Column("started_at", _INSTANT, nullable=True),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("last_position", _NUMBER, nullable=False),
        sa.Column("failure", sa.LargeBinary(), nullable=False),
        sa.Column("violations", sa.JSON(), nullable=False),
        sa.Column("vouched_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
    )
    op.create_index("ix_runs_deployment_queued_at_run_id", "runs", ["deployment", "queued_at", "run_id"], unique=False)
    op.create_index(
        "ix_runs_deployment_state_queued_at_run_id",
        "runs",
        ["deployment", "state", "queued_at", "run_id"],
        unique=False,
    )
    op.create_index(
        "ix_runs_failed",
        "runs",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("state = 'FAILED'"),
        postgresql_where=sa.text("state = 'FAILED'"),
    )
    op.create_index(
        "ix_runs_unfinished",
        "runs",
        ["queued_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("hash", _HASH, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_snapshots"),
    )


def _alert_deliveries() -> None:
    op.create_table(
        "alert_deliveries",
        sa.Column("alert_id", _ID, nullable=False),
        sa.Column("endpoint", _HASH, nullable=False),
        sa.Column("next_attempt_at", _INSTANT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("delivered_at", _INSTANT, nullable=True),
        sa.Column("gave_up_at", _INSTANT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name="fk_alert_deliveries_alerts", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("alert_id", "endpoint", name="pk_alert_deliveries"),
    )
    op.create_index(
        "ix_alert_deliveries_due",
        "alert_deliveries",
        ["next_attempt_at"],
        unique=False,
        sqlite_where=sa.text("delivered_at IS NULL AND gave_up_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL AND gave_up_at IS NULL"),
    )


def _location_generations() -> None:
    op.create_table(
        "location_generations",
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("generation", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("pool", _NAME, nullable=False),
        sa.Column("settings", sa.LargeBinary(), nullable=False),
        sa.Column("applied_at", _INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment", "name"], ["locations.deployment", "locations.name"], name="fk_location_generations_locations"
        ),
        sa.PrimaryKeyConstraint("deployment", "name", "generation", name="pk_location_generations"),
    )


def _placements() -> None:
    op.create_table(
        "placements",
        sa.Column("deployment", _NAME, nullable=False),
        sa.Column("location", _NAME, nullable=False),
        sa.Column("agent", _NAME, nullable=False),
        sa.Column("placed_at", _INSTANT, nullable=False),
        sa.Column("generation", _NUMBER, nullable=False),
        sa.Column("phase", _WORD, nullable=False),
        sa.Column("serving_generation", _NUMBER, nullable=False),
        sa.Column("failure", sa.LargeBinary(), nullable=False),
        sa.Column("snapshot_hash", _HASH, nullable=False),
        sa.Column("framework", sa.Text(), nullable=False),
        sa.Column("python_version", sa.Text(), nullable=False),
        sa.Column("reported_at", _INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment", "agent"], ["agents.deployment", "agents.name"], name="fk_placements_agents"
        ),
        sa.ForeignKeyConstraint(
            ["deployment", "location"], ["locations.deployment", "locations.name"], name="fk_placements_locations"
        ),
        sa.PrimaryKeyConstraint("deployment", "location", "agent", name="pk_placements"),
    )
    op.create_index("ix_placements_deployment_agent", "placements", ["deployment", "agent"], unique=False)


def _run_attempts() -> None:
    op.create_table(
        "run_attempts",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("agent", _NAME, nullable=False),
        sa.Column("last_seq", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_attempts_runs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "attempt", name="pk_run_attempts"),
    )


def _run_tags() -> None:
    op.create_table(
        "run_tags",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_run_tags_runs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key", name="pk_run_tags"),
    )
    op.create_index("ix_run_tags_key_value_run_id", "run_tags", ["key", "value", "run_id"], unique=False)
