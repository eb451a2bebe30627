"""Location snapshots, stored once per content: small ones in a row, large ones in the pieces in which they came."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, Row, delete, func, select
from sqlalchemy.sql.elements import ColumnElement

from isthmus_store.table.fleet import IDLE_SNAPSHOTS, SNAPSHOT_PIECES, SNAPSHOTS
from isthmus_store.transaction import Transaction, WriteTransaction


async def put(tx: WriteTransaction, *, snapshot_hash: str, body: bytes, at: datetime) -> None:
    """Store a snapshot (a LocationSnapshot) under its hash. One that is there stays, and is in use again."""
    await _put(tx, {"hash": snapshot_hash, "body": body, "stored_at": at})


async def put_pieces(tx: WriteTransaction, *, snapshot_hash: str, deployment: str, agent: str, at: datetime) -> None:
    """Store a snapshot whose pieces, as an agent sent them, are stored. One that is there stays, and is in use again."""
    values = {"hash": snapshot_hash, "body": b"", "stored_at": at, "deployment": deployment, "agent": agent}
    await _put(tx, values)


async def _put(tx: WriteTransaction, values: Mapping[str, Any]) -> None:
    # First: what removes an idle snapshot at this moment deletes this row before the snapshot. It either waits, and finds
    # that there is nothing to remove, or is waited for, and the snapshot is stored anew.
    await tx.execute(delete(IDLE_SNAPSHOTS).where(IDLE_SNAPSHOTS.c.hash == values["hash"]))
    await tx.execute(tx.insert(SNAPSHOTS).on_conflict_do_nothing().values(values))


async def get(tx: Transaction, snapshot_hash: str) -> bytes | None:
    """Return the snapshot's bytes, or None."""
    found = (await tx.execute(select(SNAPSHOTS).where(SNAPSHOTS.c.hash == snapshot_hash))).first()
    if found is None or not found.agent:
        return found.body if found is not None else None
    pieces = select(SNAPSHOT_PIECES.c.body).where(*_pieces_of(found)).order_by(SNAPSHOT_PIECES.c.piece)
    return b"".join((await tx.execute(pieces)).scalars())


async def known(tx: Transaction, hashes: Collection[str]) -> frozenset[str]:
    """Return those of the hashes whose snapshots are stored."""
    rows = await tx.execute(select(SNAPSHOTS.c.hash).where(SNAPSHOTS.c.hash.in_(hashes)))
    return frozenset(rows.scalars())


async def size(tx: Transaction, snapshot_hash: str) -> int:
    """Return how many bytes a snapshot has; 0 when it is not stored."""
    found = await _place(tx, snapshot_hash)
    if found is None or not found.agent:
        return found.length if found is not None else 0
    total = select(func.sum(func.length(SNAPSHOT_PIECES.c.body))).where(*_pieces_of(found))
    return int((await tx.execute(total)).scalar_one() or 0)


async def piece(tx: Transaction, snapshot_hash: str, *, offset: int, length: int) -> bytes:
    """Return a part of a snapshot; empty behind its end, and when it is not stored."""
    found = await _place(tx, snapshot_hash)
    if found is None:
        return b""
    if not found.agent:
        part = func.substr(SNAPSHOTS.c.body, offset + 1, length, type_=LargeBinary)
        whole = await tx.execute(select(part).where(SNAPSHOTS.c.hash == snapshot_hash))
        return bytes(whole.scalar_one_or_none() or b"")
    numbers = select(SNAPSHOT_PIECES.c.piece, func.length(SNAPSHOT_PIECES.c.body).label("length"))
    rows = (await tx.execute(numbers.where(*_pieces_of(found)).order_by(SNAPSHOT_PIECES.c.piece))).all()
    parts, start = [], 0
    for row in rows:
        begin, end = max(offset - start, 0), min(offset + length - start, row.length)
        if begin < end:
            part = func.substr(SNAPSHOT_PIECES.c.body, begin + 1, end - begin, type_=LargeBinary)
            this = select(part).where(*_pieces_of(found), SNAPSHOT_PIECES.c.piece == row.piece)
            parts.append(bytes((await tx.execute(this)).scalar_one()))
        start += row.length
    return b"".join(parts)


async def _place(tx: Transaction, snapshot_hash: str) -> Row[Any] | None:
    """Return where a snapshot's bytes are."""
    columns = (
        SNAPSHOTS.c.hash,
        SNAPSHOTS.c.deployment,
        SNAPSHOTS.c.agent,
        func.length(SNAPSHOTS.c.body).label("length"),
    )
    return (await tx.execute(select(*columns).where(SNAPSHOTS.c.hash == snapshot_hash))).first()


def _pieces_of(found: Row[Any]) -> tuple[ColumnElement[bool], ...]:
    table = SNAPSHOT_PIECES
    return (table.c.deployment == found.deployment, table.c.agent == found.agent, table.c.hash == found.hash)
