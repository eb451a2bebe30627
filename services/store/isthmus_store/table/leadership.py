"""Who leads."""

from sqlalchemy import Column, String, Table, Text

from isthmus_store.column import Instant, RowNumber
from isthmus_store.table.metadata import METADATA

LEASES = Table(
    "leases",
    METADATA,
    # The work of which there is one.
    Column("name", String(63), primary_key=True),
    Column("holder", Text, nullable=False),
    # Grows each time that the lease changes hands, and never falls: the fence.
    Column("number", RowNumber, nullable=False),
    # By the database's clock.
    Column("expires_at", Instant, nullable=False),
)
