"""Indexes by where things wait: runs for a location, commands for an agent."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes; the one over all unsent commands is not asked any more."""
    _index("ix_runs_queue", "runs", columns=["deployment", "location", "queued_at", "run_id"], where="state = 'QUEUED'")
    _index(
        "ix_instructions_lane",
        "instructions",
        columns=["deployment", "agent", "is_control", "position"],
        where="sent_at IS NULL AND settled_at IS NULL",
    )
    op.drop_index("ix_instructions_unsent", table_name="instructions")


def _index(name: str, table: str, *, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=False, sqlite_where=condition, postgresql_where=condition)
