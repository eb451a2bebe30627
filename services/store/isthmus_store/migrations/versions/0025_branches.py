"""Deployments for branches of the code, and of which an agent keeps anything."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and the column. An agent says of which with its next heartbeat."""
    op.add_column("agents", sa.Column("branches", sa.JSON()))
    op.create_table(
        "branches",
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("parent", sa.String(63), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("pool", sa.String(63), nullable=False),
        sa.Column("code_version", sa.LargeBinary(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("deleting_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_by", sa.Text(), nullable=False, server_default=""),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("deployment", name="pk_branches"),
        sa.UniqueConstraint("parent", "name", name="uq_branches_parent_name"),
    )
