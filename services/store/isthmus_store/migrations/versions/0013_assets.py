"""The newest of each partition and each check of an asset, as rows."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


_PARTITIONS = """
INSERT INTO asset_partitions (deployment, asset, partition, materialized_id, observed_id, planned_id, failed_id)
SELECT deployment, asset, partition,
  max(CASE WHEN kind = 'asset_materialized' THEN id ELSE 0 END),
  max(CASE WHEN kind = 'asset_observed' THEN id ELSE 0 END),
  max(CASE WHEN kind = 'asset_planned' THEN id ELSE 0 END),
  max(CASE WHEN kind = 'asset_failed' THEN id ELSE 0 END)
FROM event_index WHERE asset > '' AND check_name = ''
GROUP BY deployment, asset, partition
"""
_CHECKS = """
INSERT INTO asset_checks (deployment, asset, check_name, evaluated_id, planned_id)
SELECT deployment, asset, check_name,
  max(CASE WHEN kind = 'asset_check_evaluated' THEN id ELSE 0 END),
  max(CASE WHEN kind = 'asset_check_planned' THEN id ELSE 0 END)
FROM event_index WHERE asset > '' AND check_name > ''
GROUP BY deployment, asset, check_name
"""


def upgrade() -> None:
    """Make the tables, and fill them from the index over events."""
    _create("asset_partitions", "partition", ("materialized_id", "observed_id", "planned_id", "failed_id"))
    _create("asset_checks", "check_name", ("evaluated_id", "planned_id"))
    op.execute(_PARTITIONS)
    op.execute(_CHECKS)


def _create(table: str, about: str, ids: tuple[str, ...]) -> None:
    op.create_table(
        table,
        sa.Column("deployment", sa.String(63), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column(about, sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False)
            for name in ids
        ),
        sa.PrimaryKeyConstraint("deployment", "asset", about, name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )
