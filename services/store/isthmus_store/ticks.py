"""Ticks: begun once for a time, and ended once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, delete, literal_column, or_, select, update

from isthmus_store.record.automation import Tick, TickEnd
from isthmus_store.state import InstigatorKind, TickStatus
from isthmus_store.table.automation import INSTIGATORS, TICKS
from isthmus_store.transaction import Transaction, WriteTransaction


async def begin(tx: WriteTransaction, times: Mapping[int, datetime], *, at: datetime) -> list[Tick]:
    """Begin a tick for each instigator, by id, and remember its time as the instigator's last.

    Returns the ticks that are to be evaluated: not those that were begun already, whoever did that.
    """
    rows = [
        {
            "instigator_id": instigator_id,
            "at": time,
            "status": TickStatus.STARTED,
            "attempts": 1,
            "began_at": at,
            "failure": b"",
            "evaluation": b"",
        }
        for instigator_id, time in sorted(times.items())
    ]
    if not rows:
        return []
    insertion = tx.insert(TICKS).on_conflict_do_nothing(index_elements=["instigator_id", "at"]).returning(TICKS)
    begun = [Tick(**row) for row in (await tx.execute(insertion, rows)).mappings()]
    await tx.execute(_REMEMBER, [{"b_id": row["instigator_id"], "b_at": row["at"]} for row in rows])
    return begun


async def started(tx: Transaction, kind: InstigatorKind) -> list[Tick]:
    """Return the ticks of schedules, or of sensors, whose evaluation nobody ended, oldest first."""
    is_started = TICKS.c.status == literal_column("'STARTED'")
    of_kind = select(INSTIGATORS.c.id).where(INSTIGATORS.c.kind == kind)
    statement = select(TICKS).where(is_started, TICKS.c.instigator_id.in_(of_kind))
    return await tx.all(Tick, statement.order_by(TICKS.c.instigator_id, TICKS.c.at))


async def try_again(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Count another attempt at ticks that are not ended."""
    table = TICKS
    is_started = (table.c.id.in_(sorted(ids)), table.c.status == TickStatus.STARTED)
    await tx.execute(update(table).where(*is_started).values(attempts=table.c.attempts + 1))


async def end(tx: WriteTransaction, tick: Tick, end: TickEnd, *, at: datetime) -> bool:
    """End a tick, and leave with its instigator what it is to remember; False, and nothing is written, if it has ended."""
    table = TICKS
    values = asdict(end) | {"ended_at": at, "cursor": (end.cursor or "") if end.is_cursor_kept else ""}
    del values["last_run_key"], values["is_cursor_kept"]
    is_started = (table.c.id == tick.id, table.c.status == TickStatus.STARTED)
    if (await tx.execute(update(table).where(*is_started).values(values))).rowcount != 1:
        return False
    kept = {"cursor": end.cursor} if end.cursor is not None else {}
    kept |= {"last_run_key": end.last_run_key} if end.last_run_key else {}
    if kept:
        await tx.execute(update(INSTIGATORS).where(INSTIGATORS.c.id == tick.instigator_id).values(kept))
    return True


async def get(tx: Transaction, tick_id: int) -> Tick | None:
    """Return a tick, or None."""
    return await tx.first(Tick, select(TICKS).where(TICKS.c.id == tick_id))


async def page(
    tx: Transaction,
    instigator_id: int,
    *,
    limit: int,
    before: datetime | None = None,
    statuses: Collection[TickStatus] = (),
) -> list[Tick]:
    """Return an instigator's ticks, newest first: those for times before one, and in one of the statuses."""
    table = TICKS
    statement = select(table).where(table.c.instigator_id == instigator_id)
    if before is not None:
        statement = statement.where(table.c.at < before)
    if statuses:
        statement = statement.where(table.c.status.in_(sorted(statuses)))
    return await tx.all(Tick, statement.order_by(table.c.at.desc()).limit(limit))


async def newest(tx: Transaction, instigator_ids: Collection[int]) -> dict[int, Tick]:
    """Return the newest tick of each instigator that has one."""
    is_newest = (
        TICKS.c.instigator_id == INSTIGATORS.c.id,
        TICKS.c.at == INSTIGATORS.c.last_tick_at,
        INSTIGATORS.c.id.in_(sorted(instigator_ids)),
    )
    return {it.instigator_id: it for it in await tx.all(Tick, select(TICKS).where(*is_newest))}


async def old(
    tx: Transaction, rows: int, *, ended_before: datetime | None, skipped_before: datetime | None
) -> Sequence[int]:
    """Return ticks that ended long ago, skipped ones and the others apart, oldest first. Those that go on are none."""
    table = TICKS
    is_skipped = table.c.status == TickStatus.SKIPPED
    is_old = []
    if ended_before is not None:
        is_old.append((table.c.ended_at < ended_before) & ~is_skipped)
    if skipped_before is not None:
        is_old.append((table.c.ended_at < skipped_before) & is_skipped)
    if not is_old:
        return []
    found = await tx.execute(select(table.c.id).where(or_(*is_old)).order_by(table.c.ended_at).limit(rows))
    return found.scalars().all()


async def remove(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Remove ticks: one that has ended stays so."""
    await tx.execute(delete(TICKS).where(TICKS.c.id.in_(sorted(ids))))


_REMEMBER = (
    update(INSTIGATORS)
    .where(
        INSTIGATORS.c.id == bindparam("b_id"),
        or_(INSTIGATORS.c.last_tick_at.is_(None), INSTIGATORS.c.last_tick_at < bindparam("b_at")),
    )
    .values(last_tick_at=bindparam("b_at"))
)
