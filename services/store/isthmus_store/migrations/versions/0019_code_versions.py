"""Who applied a generation of a location, and of which version its code is."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. Of generations that are there, nobody said."""
    op.add_column("location_generations", sa.Column("applied_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("location_generations", sa.Column("code_version", sa.LargeBinary(), nullable=True))
