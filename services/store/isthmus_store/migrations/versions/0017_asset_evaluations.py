"""What sensors of automation decided about assets."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "condition_trees",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_condition_trees"),
    )
    op.create_table(
        "asset_evaluations",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("check_name", sa.Text(), nullable=False),
        sa.Column("location", sa.String(63), nullable=False),
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("tick_id", number, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("requested", number, nullable=False),
        sa.Column("tree_sha256", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_asset_evaluations"),
    )
    for columns in (("deployment", "asset", "check_name", "id"), ("at",), ("tree_sha256",)):
        op.create_index(f"ix_asset_evaluations_{'_'.join(columns)}", "asset_evaluations", list(columns))
