"""What removal needs: who does it, what is due, and what outlives its run."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INSTANT = sa.BigInteger()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make tables, columns and indexes, and forget the bodies of commands that are settled: they hold environments."""
    op.create_table(
        "leases",
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "removed_runs",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_removed_runs"),
    )
    _index("runs", "ix_runs_ended", column="ended_at", where="ended_at IS NOT NULL")
    op.add_column("event_index", sa.Column("job_name", sa.Text(), nullable=True))
    op.add_column("event_index", sa.Column("attempt", sa.Integer(), nullable=True))
    op.add_column("event_index", sa.Column("body", sa.LargeBinary(), nullable=True))
    op.create_index("ix_event_index_run_id", "event_index", ["run_id"], unique=False)
    _index("event_index", "ix_event_index_outliving", column="id", where="body IS NOT NULL")
    op.create_table(
        "idle_snapshots",
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("idle_since", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_idle_snapshots"),
    )
    op.execute(sa.text("UPDATE instructions SET body = :nothing WHERE settled_at IS NOT NULL").bindparams(nothing=b""))


def _index(table: str, name: str, *, column: str, where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, [column], unique=False, sqlite_where=condition, postgresql_where=condition)
