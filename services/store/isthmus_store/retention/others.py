"""Removes what is old beside runs: commands, alerts, dead letters, generations, snapshots.

Each look finds a part without holding a lock, and each removal tests again what could have changed meanwhile.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, func, or_, select

from isthmus_store.snapshot_pieces import unnamed
from isthmus_store.table.alert import ALERT_DELIVERIES, ALERTS
from isthmus_store.table.fleet import (
    IDLE_SNAPSHOTS,
    LOCATION_GENERATIONS,
    LOCATIONS,
    PLACEMENTS,
    SNAPSHOT_PIECES,
    SNAPSHOTS,
)
from isthmus_store.table.instruction import DEAD_LETTERS, INSTRUCTIONS
from isthmus_store.transaction import Transaction, WriteTransaction

_Key = TypeVar("_Key")


class GenerationKey(NamedTuple):
    """Which generation of which location."""

    deployment: str
    location: str
    generation: int


class PieceKey(NamedTuple):
    """Which piece of which snapshot, and who sent it."""

    deployment: str
    agent: str
    hash: str
    piece: int


_PIECE: Final = (
    SNAPSHOT_PIECES.c.deployment,
    SNAPSHOT_PIECES.c.agent,
    SNAPSHOT_PIECES.c.hash,
    SNAPSHOT_PIECES.c.piece,
)


async def old_instructions(tx: Transaction, rows: int, *, settled_before: datetime) -> Sequence[int]:
    """Return positions of settled commands, oldest first. What was not sent or has no result yet is none of them."""
    table = INSTRUCTIONS
    # By the first that is too young: what follows it was written later still, and need not be looked at.
    young = select(func.min(table.c.position)).where(table.c.created_at >= settled_before).scalar_subquery()
    is_old = and_(table.c.settled_at < settled_before, or_(young.is_(None), table.c.position < young))
    return await _keys(tx, select(table.c.position).where(is_old).order_by(table.c.position).limit(rows))


async def remove_instructions(tx: WriteTransaction, positions: Collection[int]) -> None:
    """Remove commands: a settled one is never unsettled."""
    await tx.execute(delete(INSTRUCTIONS).where(INSTRUCTIONS.c.position.in_(sorted(positions))))


async def old_alerts(tx: Transaction, rows: int, *, created_before: datetime) -> Sequence[str]:
    """Return alerts of which no delivery is open, oldest first."""
    deliveries = ALERT_DELIVERIES.c
    is_open = exists().where(
        deliveries.alert_id == ALERTS.c.id, deliveries.delivered_at.is_(None), deliveries.gave_up_at.is_(None)
    )
    is_old = (ALERTS.c.created_at < created_before, ~is_open)
    return await _keys(tx, select(ALERTS.c.id).where(*is_old).order_by(ALERTS.c.created_at).limit(rows))


async def remove_alerts(tx: WriteTransaction, ids: Collection[str]) -> None:
    """Remove alerts with their deliveries."""
    await tx.execute(delete(ALERT_DELIVERIES).where(ALERT_DELIVERIES.c.alert_id.in_(sorted(ids))))
    await tx.execute(delete(ALERTS).where(ALERTS.c.id.in_(sorted(ids))))


async def old_dead_letters(tx: Transaction, rows: int, *, received_before: datetime | None, most: int) -> Sequence[int]:
    """Return dead letters that are old, or more than `most` (0: as many as there are), oldest first."""
    table = DEAD_LETTERS
    newest = select(func.max(table.c.id)).scalar_subquery()
    is_beyond = [table.c.id <= newest - most] if most else []
    is_old = [table.c.received_at < received_before] if received_before is not None else []
    if not is_beyond and not is_old:
        return []
    return await _keys(tx, select(table.c.id).where(or_(*is_beyond, *is_old)).order_by(table.c.id).limit(rows))


async def remove_dead_letters(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Remove dead letters."""
    await tx.execute(delete(DEAD_LETTERS).where(DEAD_LETTERS.c.id.in_(sorted(ids))))


async def old_generations(tx: Transaction, rows: int, *, newest: int) -> Sequence[GenerationKey]:
    """Return generations of locations beyond the `newest` of each; the wanted one is none of them."""
    table = LOCATION_GENERATIONS
    is_same = and_(LOCATIONS.c.deployment == table.c.deployment, LOCATIONS.c.name == table.c.name)
    keys = select(table.c.deployment, table.c.name, table.c.generation).join(LOCATIONS, is_same)
    old = keys.where(table.c.generation <= LOCATIONS.c.generation - newest).limit(rows)
    return [GenerationKey(row.deployment, row.name, row.generation) for row in await tx.execute(old)]


async def remove_generations(tx: WriteTransaction, keys: Collection[GenerationKey]) -> None:
    """Remove generations: what is old gets only older."""
    await tx.delete_rows(LOCATION_GENERATIONS, sorted(keys))


async def newly_idle(tx: Transaction, rows: int) -> Sequence[str]:
    """Return snapshots that no placement refers to, and that are not noted as idle."""
    is_noted = exists().where(IDLE_SNAPSHOTS.c.hash == SNAPSHOTS.c.hash)
    return await _keys(tx, select(SNAPSHOTS.c.hash).where(~_is_used(SNAPSHOTS), ~is_noted).limit(rows))


async def used_again(tx: Transaction, rows: int) -> Sequence[str]:
    """Return snapshots that are noted as idle though a placement refers to them."""
    return await _keys(tx, select(IDLE_SNAPSHOTS.c.hash).where(_is_used(IDLE_SNAPSHOTS)).limit(rows))


async def note_idle(tx: WriteTransaction, hashes: Collection[str], *, at: datetime) -> None:
    """Note since when nothing refers to snapshots."""
    rows = [{"hash": it, "idle_since": at} for it in sorted(hashes)]
    await tx.execute(tx.insert(IDLE_SNAPSHOTS).on_conflict_do_nothing(), rows)


async def forget_idle(tx: WriteTransaction, hashes: Collection[str]) -> None:
    """Take snapshots for used again."""
    await tx.execute(delete(IDLE_SNAPSHOTS).where(IDLE_SNAPSHOTS.c.hash.in_(sorted(hashes))))


async def old_snapshots(tx: Transaction, rows: int, *, idle_before: datetime) -> Sequence[str]:
    """Return snapshots that nothing refers to, and did not for so long."""
    is_old = (IDLE_SNAPSHOTS.c.idle_since < idle_before, ~_is_used(IDLE_SNAPSHOTS))
    return await _keys(tx, select(IDLE_SNAPSHOTS.c.hash).where(*is_old).limit(rows))


async def remove_snapshots(tx: WriteTransaction, hashes: Collection[str]) -> None:
    """Remove snapshots, but for those that are used again."""
    is_meant = (IDLE_SNAPSHOTS.c.hash.in_(sorted(hashes)), ~_is_used(IDLE_SNAPSHOTS))
    gone = (await tx.execute(delete(IDLE_SNAPSHOTS).where(*is_meant).returning(IDLE_SNAPSHOTS.c.hash))).scalars().all()
    await tx.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.hash.in_(gone)))


def _is_used(table: Table) -> ColumnElement[bool]:
    return exists().where(PLACEMENTS.c.snapshot_hash == table.c.hash)


async def left_pieces(tx: Transaction, rows: int, *, stored_before: datetime) -> Sequence[PieceKey]:
    """Return old pieces of which no stored snapshot is made: half sent, or of one that was removed."""
    keys = select(*_PIECE).where(SNAPSHOT_PIECES.c.stored_at < stored_before, unnamed()).limit(rows)
    return [PieceKey._make(row) for row in (await tx.execute(keys)).all()]


async def remove_pieces(tx: WriteTransaction, keys: Collection[PieceKey], *, stored_before: datetime) -> None:
    """Remove pieces, but for those that were sent again."""
    is_old = (SNAPSHOT_PIECES.c.stored_at < stored_before, unnamed())
    await tx.delete_rows(SNAPSHOT_PIECES, sorted(keys), *is_old)


async def _keys(tx: Transaction, statement: Select[tuple[_Key]]) -> Sequence[_Key]:
    return (await tx.execute(statement)).scalars().all()
