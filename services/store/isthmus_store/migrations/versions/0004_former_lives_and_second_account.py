"""Lives of an agent that were superseded, and the broker account of its code servers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; agents that are there already share one account with their code servers."""
    op.add_column("agents", sa.Column("former_incarnations", sa.JSON()))
    op.add_column("agents", sa.Column("code_server_broker_user", sa.Text(), nullable=False, server_default=""))
