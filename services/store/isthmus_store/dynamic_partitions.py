"""Keys of dynamic partitions: added and deleted by user code, and kept for all runs of a deployment."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import delete, select

from isthmus_store.table.instance import DYNAMIC_PARTITIONS
from isthmus_store.transaction import Transaction, WriteTransaction
from isthmus_store.wire import storable


async def keys(tx: Transaction, *, deployment: str, name: str, among: Collection[str] = ()) -> list[str]:
    """Return the keys in the order in which they were added; with `among`, only those of them that exist."""
    table = DYNAMIC_PARTITIONS
    statement = select(table.c.key).where(table.c.deployment == deployment, table.c.name == name).order_by(table.c.id)
    if among:
        statement = statement.where(table.c.key.in_(sorted(among)))
    return [row.key for row in await tx.execute(statement)]


async def add(tx: WriteTransaction, added: Iterable[str], *, deployment: str, name: str, at: datetime) -> None:
    """Add keys; one that is there already stays where it is."""
    rows = [
        {"deployment": deployment, "name": storable(name), "key": storable(key), "added_at": at}
        for key in dict.fromkeys(added)
    ]
    if rows:
        insertion = tx.insert(DYNAMIC_PARTITIONS).on_conflict_do_nothing(index_elements=["deployment", "name", "key"])
        await tx.execute(insertion, rows)


async def remove(tx: WriteTransaction, removed: Collection[str], *, deployment: str, name: str) -> None:
    """Delete keys; one that is not there is passed over."""
    table = DYNAMIC_PARTITIONS
    if removed:
        is_there = (table.c.deployment == deployment, table.c.name == name, table.c.key.in_(sorted(removed)))
        await tx.execute(delete(table).where(*is_there))
