"""The pools that runs begin with, and whether their steps have claimed slots yet."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Of runs that wait nobody knows the first pools: they are not held back for these."""
    op.add_column("runs", sa.Column("root_pools", sa.JSON(), nullable=True))
    op.add_column("claiming_runs", sa.Column("has_claimed", sa.Boolean(), nullable=False, server_default=sa.true()))
