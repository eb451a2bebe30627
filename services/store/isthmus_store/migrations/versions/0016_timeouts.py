"""When the end of a run was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. Of runs whose end was asked for before, nobody knows when that was."""
    op.add_column("runs", sa.Column("end_asked_at", sa.BigInteger(), nullable=True))
