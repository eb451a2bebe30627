"""What user code keeps by way of its Dagster instance."""

from sqlalchemy import Column, Index, Table, Text, UniqueConstraint

from isthmus_store.column import Instant, RowNumber
from isthmus_store.table.metadata import METADATA, NAME

DYNAMIC_PARTITIONS = Table(
    "dynamic_partitions",
    METADATA,
    Column("id", RowNumber, primary_key=True, autoincrement=True),
    Column("deployment", NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("added_at", Instant, nullable=False),
    UniqueConstraint("deployment", "name", "key"),
)

# What instances asked to have changed: a query that comes twice changes things once.
APPLIED_QUERIES = Table(
    "applied_queries",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("applied_at", Instant, nullable=False),
    Index(None, "applied_at"),
)
