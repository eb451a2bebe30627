"""Large snapshots stay in the pieces in which they came: whose pieces a snapshot is made of."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns; what is stored already has its bytes in its row."""
    for name in ("deployment", "agent"):
        op.add_column("snapshots", sa.Column(name, sa.String(63), nullable=False, server_default=""))
