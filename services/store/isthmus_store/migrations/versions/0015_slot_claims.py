"""What steps claim of pools."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "slot_claims",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step_key", sa.Text(), nullable=False),
        sa.Column("retry_number", sa.Integer(), nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("priority", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("wanted_at", sa.BigInteger(), nullable=False),
        sa.Column("room", sa.Integer(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "attempt", "step_key", name="pk_slot_claims"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_slot_claims_runs", ondelete="CASCADE"),
    )
    op.create_index("ix_slot_claims_deployment", "slot_claims", ["deployment"], unique=False)
    op.create_table(
        "claiming_runs",
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_claiming_runs"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_claiming_runs_runs", ondelete="CASCADE"),
    )
