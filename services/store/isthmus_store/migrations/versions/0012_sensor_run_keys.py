"""The run keys that sensors have used."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "sensor_run_keys",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("location", sa.String(63), nullable=False),
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sensor_run_keys"),
        sa.UniqueConstraint(
            "deployment", "location", "sensor", "digest", name="uq_sensor_run_keys_deployment_location_sensor_digest"
        ),
    )
    op.create_index("ix_sensor_run_keys_asked_at", "sensor_run_keys", ["asked_at"], unique=False)
