"""Backfills, their runs, and what was decided about them."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "backfills",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("backfill_id", sa.String(8), nullable=False),
        sa.Column("location", sa.String(63), nullable=False),
        sa.Column("job_name", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("plan", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("max_runs", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.String(8), nullable=False),
        sa.Column("root_id", sa.String(8), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.Text(), nullable=False),
        sa.UniqueConstraint("deployment", "backfill_id", name="uq_backfills_deployment_backfill_id"),
    )
    is_unfinished = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_backfills_unfinished", "backfills", ["id"], sqlite_where=is_unfinished, postgresql_where=is_unfinished
    )
    op.create_index("ix_backfills_ended_at", "backfills", ["ended_at"])
    _make_runs()
    op.create_table(
        "backfill_decisions",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        _backfill(),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("runs", _NUMBER, nullable=False),
        sa.ForeignKeyConstraint(
            ["backfill"], ["backfills.id"], name="fk_backfill_decisions_backfills", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_backfill_decisions_backfill_id", "backfill_decisions", ["backfill", "id"])


def _make_runs() -> None:
    op.create_table(
        "backfill_runs",
        _backfill(),
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("group", sa.Integer(), nullable=False),
        sa.Column("begin", _NUMBER, nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("last", sa.Text(), nullable=False),
        sa.Column("partitions", _NUMBER, nullable=False),
        sa.Column("run_id", sa.String(36), nullable=True),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("backfill", "number", name="pk_backfill_runs"),
        sa.UniqueConstraint("backfill", "group", "first", name="uq_backfill_runs_backfill_group_first"),
        sa.ForeignKeyConstraint(["backfill"], ["backfills.id"], name="fk_backfill_runs_backfills", ondelete="CASCADE"),
    )
    is_waiting = sa.text("outcome = 'WAITING'")
    op.create_index(
        "ix_backfill_runs_waiting",
        "backfill_runs",
        ["backfill", "number"],
        sqlite_where=is_waiting,
        postgresql_where=is_waiting,
    )
    is_under_way = sa.text("outcome = 'UNDER_WAY'")
    op.create_index(
        "ix_backfill_runs_under_way",
        "backfill_runs",
        ["backfill", "number"],
        sqlite_where=is_under_way,
        postgresql_where=is_under_way,
    )
    op.create_index("ix_backfill_runs_backfill_outcome", "backfill_runs", ["backfill", "outcome"])


def _backfill() -> sa.Column[int]:
    return sa.Column("backfill", _NUMBER, nullable=False)
