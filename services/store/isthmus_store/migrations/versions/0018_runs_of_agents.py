"""An index of the runs that each agent has: of several that serve a location, a launch goes to the one with the fewest."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_IS_UNDER_WAY = "dispatched_at IS NOT NULL AND ended_at IS NULL"


def upgrade() -> None:
    """Make the index."""
    op.create_index(
        "ix_runs_of_agent",
        "runs",
        ["deployment", "agent"],
        unique=False,
        sqlite_where=sa.text(_IS_UNDER_WAY),
        postgresql_where=sa.text(_IS_UNDER_WAY),
    )
