"""Who had what was told of assets forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "asset_wipes",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("partitions", sa.Text(), nullable=False),
        sa.Column("events", number, nullable=False),
        sa.Column("wiped_by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("wiped_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_asset_wipes"),
    )
    op.create_index("ix_asset_wipes_deployment_asset_id", "asset_wipes", ["deployment", "asset", "id"])
    op.create_index("ix_asset_wipes_wiped_at", "asset_wipes", ["wiped_at"])
