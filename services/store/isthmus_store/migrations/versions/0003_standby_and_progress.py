"""What agents tell of waiting code servers, and how far a location's phase is."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is there already has told neither."""
    op.add_column("agents", sa.Column("standbys", sa.JSON()))
    op.add_column("placements", sa.Column("progress", sa.Text(), nullable=False, server_default=""))
