"""Snapshots that come in pieces."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the table where pieces wait for the rest of their snapshot."""
    op.create_table(
        "snapshot_pieces",
        sa.Column("deployment", sa.String(length=63), nullable=False),
        sa.Column("agent", sa.String(length=63), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("piece", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "agent", "hash", "piece", name=op.f("pk_snapshot_pieces")),
    )
    op.create_index(op.f("ix_snapshot_pieces_stored_at"), "snapshot_pieces", ["stored_at"])
