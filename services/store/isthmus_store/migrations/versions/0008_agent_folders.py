"""The folder that an agent remembers its instructions in, and how long it lets imports take."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; agents that are there already have not told."""
    op.add_column("agents", sa.Column("folder_id", sa.Text(), nullable=False, server_default=""))
    op.add_column("agents", sa.Column("folder_since", sa.BigInteger()))
    op.add_column("agents", sa.Column("load_timeout_s", sa.Double(), nullable=False, server_default="0"))
