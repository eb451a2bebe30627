"""What is known of assets: where in the index over events the newest of each partition, and of each check, is found."""

from sqlalchemy import Column, Index, String, Table, Text

from isthmus_store.column import Instant, RowNumber
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

# How fresh assets with a policy are; no row for one of which that is not known.
ASSET_FRESHNESS = Table(
    "asset_freshness",
    METADATA,
    Column("deployment", NAME, primary_key=True),
    Column("asset", Text, primary_key=True),
    # As the control plane names it.
    Column("state", String(32), nullable=False),
    # Since when.
    Column("changed_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

# Who had what was told of assets forgotten.
ASSET_WIPES = Table(
    "asset_wipes",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", NAME, nullable=False),
    Column("asset", Text, nullable=False),
    # A JSON list of keys; an empty one for the asset as a whole.
    Column("partitions", Text, nullable=False),
    # How many events were forgotten.
    Column("events", RowNumber, nullable=False),
    Column("wiped_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("wiped_at", Instant, nullable=False),
    Index(None, "deployment", "asset", "id"),
    Index(None, "wiped_at"),
)
