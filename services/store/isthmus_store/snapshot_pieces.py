"""Snapshots that are too large for one message: they stay in the pieces in which they came.

The snapshot's row, which names whose pieces it is made of, is written when all of them are there.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, exists, func, select

from isthmus_store import snapshots
from isthmus_store.database import Database
from isthmus_store.table.fleet import SNAPSHOT_PIECES, SNAPSHOTS
from isthmus_store.transaction import Transaction, WriteTransaction

#: A piece is not larger than this, bytes: agents of earlier releases send such, later ones a quarter of that.
MAX_PIECE_BYTES: Final = 2 * 1024**2
#: A snapshot is not larger than this, bytes: some 80,000 assets.
MAX_BYTES: Final = 256 * 1024**2
#: It has no more pieces.
MAX_PIECES: Final = 512
#: An agent has no more snapshots half sent; the oldest gives way.
MAX_HALF_SENT: Final = 4
#: What was half sent for this long is removed: its agent would have sent the rest.
KEPT: Final = timedelta(days=1)
#: So many are removed in one transaction.
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a snapshot, as an agent sent it."""

    deployment: str
    agent: str
    snapshot_hash: str
    index: int
    count: int
    body: bytes


def is_small_enough(size: int, *, count: int) -> bool:
    """Tell whether one of so many pieces may have so many bytes."""
    return 0 < size <= MAX_PIECE_BYTES and count <= MAX_PIECES and size * count <= MAX_BYTES


async def keep(tx: WriteTransaction, piece: Piece, *, at: datetime) -> None:
    """Keep a piece, unless its snapshot is stored; `complete` stores that once all of its pieces are there."""
    if await snapshots.known(tx, [piece.snapshot_hash]):
        return
    await _make_room(tx, piece, at=at)
    values = {
        "deployment": piece.deployment,
        "agent": piece.agent,
        "hash": piece.snapshot_hash,
        "piece": piece.index,
        "body": piece.body,
        "stored_at": at,
    }
    insert = tx.insert(SNAPSHOT_PIECES)
    # One that is there may be about to be removed for its age.
    again = insert.on_conflict_do_update(
        index_elements=["deployment", "agent", "hash", "piece"],
        set_={"body": insert.excluded.body, "stored_at": insert.excluded.stored_at},
    )
    await tx.execute(again, values)


async def complete(database: Database, piece: Piece, *, at: datetime) -> None:
    """Store a snapshot of which a piece was kept, if all are there and the bytes are those that its hash names.

    The pieces stay where they are, and are read and hashed without a lock: no transaction writes more than one of them.
    """
    async with database.look() as tx:
        if await snapshots.known(tx, [piece.snapshot_hash]) or await _count(tx, piece) < piece.count:
            return
        is_true = await _digest(tx, piece) == piece.snapshot_hash
    if is_true:
        async with database.write() as tx:
            if await _count(tx, piece) == piece.count:
                sender = {"deployment": piece.deployment, "agent": piece.agent}
                await snapshots.put_pieces(tx, snapshot_hash=piece.snapshot_hash, at=at, **sender)
        return
    for index in range(piece.count):
        async with database.write() as tx:
            await tx.execute(delete(SNAPSHOT_PIECES).where(_of(piece), SNAPSHOT_PIECES.c.piece == index))


def unnamed() -> ColumnElement[bool]:
    """Return the condition of pieces that no stored snapshot is made of."""
    pieces, whole = SNAPSHOT_PIECES.c, SNAPSHOTS.c
    return ~exists().where(
        whole.hash == pieces.hash, whole.deployment == pieces.deployment, whole.agent == pieces.agent
    )


async def _count(tx: Transaction, piece: Piece) -> int:
    return int((await tx.execute(select(func.count()).where(_of(piece)))).scalar_one())


async def _digest(tx: Transaction, piece: Piece) -> str:
    digest = sha256()
    for index in range(piece.count):
        one = select(SNAPSHOT_PIECES.c.body).where(_of(piece), SNAPSHOT_PIECES.c.piece == index)
        # A large one would hold up whatever else this process does.
        await asyncio.to_thread(digest.update, (await tx.execute(one)).scalar_one_or_none() or b"")
    return digest.hexdigest()


async def _make_room(tx: WriteTransaction, piece: Piece, *, at: datetime) -> None:
    """Remove some of what was half sent long ago, and of an agent that has too many half sent some of the oldest."""
    table = SNAPSHOT_PIECES
    await _remove_some(tx, table.c.stored_at < at - KEPT)
    mine = and_(table.c.deployment == piece.deployment, table.c.agent == piece.agent)
    others = (
        select(table.c.hash)
        .where(mine, table.c.hash != piece.snapshot_hash, unnamed())
        .group_by(table.c.hash)
        .order_by(func.max(table.c.stored_at).desc())
        .offset(MAX_HALF_SENT - 1)
    )
    for doomed in (await tx.execute(others)).scalars().all():
        await _remove_some(tx, and_(mine, table.c.hash == doomed))


async def _remove_some(tx: WriteTransaction, condition: ColumnElement[bool]) -> None:
    table = SNAPSHOT_PIECES
    key = (table.c.deployment, table.c.agent, table.c.hash, table.c.piece)
    found = (await tx.execute(select(*key).where(condition, unnamed()).limit(_AT_ONCE))).all()
    await tx.delete_rows(table, [tuple(row) for row in found])


def _of(piece: Piece) -> ColumnElement[bool]:
    table = SNAPSHOT_PIECES
    return and_(
        table.c.deployment == piece.deployment, table.c.agent == piece.agent, table.c.hash == piece.snapshot_hash
    )
