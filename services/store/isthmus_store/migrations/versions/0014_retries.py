"""Runs that follow runs which failed."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns, and the index that lets no run be followed by two."""
    op.add_column("runs", sa.Column("retry_of", sa.String(36), nullable=True))
    op.add_column("runs", sa.Column("retried_by", sa.String(36), nullable=True))
    op.add_column("runs", sa.Column("retry_number", sa.Integer(), nullable=False, server_default="0"))
    condition = sa.text("retry_of IS NOT NULL")
    op.create_index(
        "ix_runs_retry_of", "runs", ["retry_of"], unique=True, sqlite_where=condition, postgresql_where=condition
    )
