"""The queue's lines by what limits their runs, its settings, and what is paused."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_INSTANT = sa.BigInteger()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LINE = sa.String(200).with_variant(sa.String(200, collation="C"), "postgresql")


def upgrade() -> None:
    """Make columns, tables and indexes. Runs that have not ended are put into their lines by the control plane."""
    op.add_column("runs", sa.Column("line", _LINE, nullable=False, server_default=""))
    op.add_column("runs", sa.Column("pools", sa.JSON(), nullable=True))
    _index("ix_runs_line", columns=["line", "queued_at", "run_id"], where="state = 'QUEUED'")
    _index("ix_runs_holding", columns=["line", "run_id"], where="dispatched_at IS NOT NULL AND ended_at IS NULL")
    op.create_table(
        "queue_settings",
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("revision", _NUMBER, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("is_limiting", sa.Boolean(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("deployment", name="pk_queue_settings"),
    )
    op.create_table(
        "pauses",
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("paused_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("deployment", "kind", "name", name="pk_pauses"),
    )


def _index(name: str, *, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, "runs", columns, unique=False, sqlite_where=condition, postgresql_where=condition)
