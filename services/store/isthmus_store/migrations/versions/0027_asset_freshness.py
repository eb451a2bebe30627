"""How fresh assets are."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "asset_freshness",
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "asset", name="pk_asset_freshness"),
        sqlite_with_rowid=False,
    )
