"""Snapshots that are too large for one message: their pieces wait here until all of them are there."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, func, select

from isthmus_store import snapshots
from isthmus_store.table.fleet import SNAPSHOT_PIECES
from isthmus_store.transaction import WriteTransaction

#: A piece is not larger than this, bytes: a message of the broker holds it with room to spare.
MAX_PIECE_BYTES: Final = 2 * 1024**2
#: A snapshot has no more pieces: 256 MiB, some 80,000 assets.
MAX_PIECES: Final = 128
#: An agent has no more snapshots half sent; the oldest gives way.
MAX_HALF_SENT: Final = 4
#: What was half sent for this long is removed: its agent would have sent the rest.
KEPT: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a snapshot, as an agent sent it."""

    deployment: str
    agent: str
    snapshot_hash: str
    index: int
    count: int
    body: bytes


async def take(tx: WriteTransaction, piece: Piece, *, at: datetime) -> None:
    """Keep a piece; with the last one the snapshot is stored, if the bytes are those that its hash names."""
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
    await tx.execute(tx.insert(SNAPSHOT_PIECES).on_conflict_do_nothing().values(values))
    there = (await tx.execute(select(func.count()).where(_of(piece)))).scalar_one()
    if there < piece.count:
        return
    rows = await tx.execute(select(SNAPSHOT_PIECES.c.body).where(_of(piece)).order_by(SNAPSHOT_PIECES.c.piece))
    body = b"".join(rows.scalars())
    # A large one would hold up whatever else this process does.
    digest = await asyncio.to_thread(lambda: sha256(body).hexdigest())
    if digest == piece.snapshot_hash:
        await snapshots.put(tx, snapshot_hash=digest, body=body, at=at)
    await tx.execute(delete(SNAPSHOT_PIECES).where(_of(piece)))


async def _make_room(tx: WriteTransaction, piece: Piece, *, at: datetime) -> None:
    """Remove what was half sent long ago, and of an agent that has too many half sent the oldest."""
    table = SNAPSHOT_PIECES
    await tx.execute(delete(table).where(table.c.stored_at < at - KEPT))
    others = (
        select(table.c.hash)
        .where(
            table.c.deployment == piece.deployment, table.c.agent == piece.agent, table.c.hash != piece.snapshot_hash
        )
        .group_by(table.c.hash)
        .order_by(func.max(table.c.stored_at).desc())
        .offset(MAX_HALF_SENT - 1)
    )
    for doomed in (await tx.execute(others)).scalars().all():
        mine = and_(table.c.deployment == piece.deployment, table.c.agent == piece.agent, table.c.hash == doomed)
        await tx.execute(delete(table).where(mine))


def _of(piece: Piece) -> ColumnElement[bool]:
    table = SNAPSHOT_PIECES
    return and_(
        table.c.deployment == piece.deployment, table.c.agent == piece.agent, table.c.hash == piece.snapshot_hash
    )
