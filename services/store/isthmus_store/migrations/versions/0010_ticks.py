"""Schedules, sensors, and their ticks."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INSTANT = sa.BigInteger()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _make_instigators()
    _make_ticks()


def _make_instigators() -> None:
    op.create_table(
        "instigators",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("location", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("decided", sa.String(32), nullable=True),
        sa.Column("decided_by", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_at", _INSTANT, nullable=True),
        sa.Column("definition", sa.String(64), nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("is_running", sa.Boolean(), nullable=False),
        sa.Column("last_tick_at", _INSTANT, nullable=True),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.Column("last_run_key", sa.Text(), server_default="", nullable=False),
        sa.Column("gone_at", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_instigators"),
        sa.UniqueConstraint(
            "deployment", "location", "kind", "name", name="uq_instigators_deployment_location_kind_name"
        ),
    )


def _make_ticks() -> None:
    op.create_table(
        "ticks",
        sa.Column("id", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("instigator_id", _NUMBER, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("began_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT, nullable=True),
        sa.Column("run_ids", sa.JSON(), nullable=True),
        sa.Column("skip_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("failure", sa.LargeBinary(), nullable=False),
        sa.Column("evaluation", sa.LargeBinary(), nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ticks"),
        sa.UniqueConstraint("instigator_id", "at", name="uq_ticks_instigator_id_at"),
        sa.ForeignKeyConstraint(["instigator_id"], ["instigators.id"], name="fk_ticks_instigators", ondelete="CASCADE"),
    )
    condition = sa.text("status = 'STARTED'")
    op.create_index(
        "ix_ticks_started",
        "ticks",
        ["instigator_id"],
        unique=False,
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.create_index("ix_ticks_ended_at", "ticks", ["ended_at"], unique=False)
