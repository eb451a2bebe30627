"""Location snapshots, stored once per content."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import LargeBinary, delete, func, select

from isthmus_store.table.fleet import IDLE_SNAPSHOTS, SNAPSHOTS
from isthmus_store.transaction import Transaction, WriteTransaction


async def put(tx: WriteTransaction, *, snapshot_hash: str, body: bytes, at: datetime) -> None:
    """Store a snapshot (a LocationSnapshot) under its hash. One that is there stays, and is in use again."""
    values = {"hash": snapshot_hash, "body": body, "stored_at": at}
    # First: what removes an idle snapshot at this moment deletes this row before the snapshot. It either waits, and finds
    # that there is nothing to remove, or is waited for, and the snapshot is stored anew.
    await tx.execute(delete(IDLE_SNAPSHOTS).where(IDLE_SNAPSHOTS.c.hash == snapshot_hash))
    await tx.execute(tx.insert(SNAPSHOTS).on_conflict_do_nothing().values(values))


async def get(tx: Transaction, snapshot_hash: str) -> bytes | None:
    """Return the snapshot's bytes, or None."""
    return (await tx.execute(select(SNAPSHOTS.c.body).where(SNAPSHOTS.c.hash == snapshot_hash))).scalar_one_or_none()


async def known(tx: Transaction, hashes: Collection[str]) -> frozenset[str]:
    """Return those of the hashes whose snapshots are stored."""
    rows = await tx.execute(select(SNAPSHOTS.c.hash).where(SNAPSHOTS.c.hash.in_(hashes)))
    return frozenset(rows.scalars())


async def size(tx: Transaction, snapshot_hash: str) -> int:
    """Return how many bytes a snapshot has; 0 when it is not stored."""
    found = await tx.execute(select(func.length(SNAPSHOTS.c.body)).where(SNAPSHOTS.c.hash == snapshot_hash))
    return int(found.scalar_one_or_none() or 0)


async def piece(tx: Transaction, snapshot_hash: str, *, offset: int, length: int) -> bytes:
    """Return a part of a snapshot; empty behind its end, and when it is not stored."""
    part = func.substr(SNAPSHOTS.c.body, offset + 1, length, type_=LargeBinary)
    found = await tx.execute(select(part).where(SNAPSHOTS.c.hash == snapshot_hash))
    return bytes(found.scalar_one_or_none() or b"")
