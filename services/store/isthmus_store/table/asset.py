"""What is known of assets: where in the index over events the newest of each partition, and of each check, is found."""

from sqlalchemy import Column, Table, Text

from isthmus_store.column import RowNumber
from isthmus_store.table.metadata import METADATA, NAME


def _newest(name: str) -> Column[int]:
    """Make a column for an id of the index over events; 0 for none."""
    return Column(name, RowNumber, nullable=False, autoincrement=False)


ASSET_PARTITIONS = Table(
    "asset_partitions",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    # As `fact.asset_text` writes it.
    Column("asset", Text, primary_key=True),
    # Empty for what was told of the asset as a whole.
    Column("partition", Text, primary_key=True),
    _newest("materialized_id"),
    _newest("observed_id"),
    _newest("planned_id"),
    _newest("failed_id"),
    sqlite_with_rowid=False,
)

ASSET_CHECKS = Table(
    "asset_checks",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("asset", Text, primary_key=True),
    Column("check_name", Text, primary_key=True),
    _newest("evaluated_id"),
    _newest("planned_id"),
    sqlite_with_rowid=False,
)
