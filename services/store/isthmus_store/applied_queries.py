"""Which changes were made already that came as queries: one that comes twice is made once."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete

from isthmus_store.table.instance import APPLIED_QUERIES
from isthmus_store.transaction import WriteTransaction
from isthmus_store.wire import storable

#: How long a query is remembered: far longer than the broker keeps one.
KEPT: Final = timedelta(hours=1)


async def is_new(tx: WriteTransaction, query_id: str, *, at: datetime) -> bool:
    """Tell whether the query was not applied yet, and remember it as applied with this transaction."""
    table = APPLIED_QUERIES
    await tx.execute(delete(table).where(table.c.applied_at < at - KEPT))
    insertion = tx.insert(table).on_conflict_do_nothing(index_elements=["id"])
    return (await tx.execute(insertion.values(id=storable(query_id), applied_at=at))).rowcount == 1
