"""Which rows of the index outlive their run: the newest of each asset, kind, partition and check.

Such a row takes what it needs of its event and its run over, before both go. Once a newer row takes its place it is
*superseded*, and goes too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, update

from isthmus_store.fact import CHECK_EVALUATED, CHECK_PLANNED
from isthmus_store.table.event import EVENT_INDEX, EVENTS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction


async def settle_runs(tx: WriteTransaction, run_ids: Collection[str]) -> None:
    """Remove the index rows of runs that this transaction locked, but for those that outlive them."""
    await _settle(tx, EVENT_INDEX.c.run_id.in_(run_ids))


async def settle_part(tx: WriteTransaction, run_id: str, *, rows: int) -> bool:
    """Do so for the oldest rows of one run; returns whether there may be more."""
    is_open = (EVENT_INDEX.c.run_id == run_id, EVENT_INDEX.c.body.is_(None))
    ids = (await tx.execute(select(EVENT_INDEX.c.id).where(*is_open).order_by(EVENT_INDEX.c.id).limit(rows))).scalars()
    part = ids.all()
    if part:
        await _settle(tx, EVENT_INDEX.c.id.in_(part))
    return len(part) == rows


async def _settle(tx: WriteTransaction, is_meant: ColumnElement[bool]) -> None:
    event = select(EVENTS).where(EVENTS.c.run_id == EVENT_INDEX.c.run_id, EVENTS.c.position == EVENT_INDEX.c.position)
    job_name = select(RUNS.c.job_name).where(RUNS.c.run_id == EVENT_INDEX.c.run_id).scalar_subquery()
    taken = {
        "job_name": job_name,
        "attempt": event.with_only_columns(EVENTS.c.attempt).scalar_subquery(),
        "body": event.with_only_columns(EVENTS.c.body).scalar_subquery(),
    }
    is_open = and_(is_meant, EVENT_INDEX.c.body.is_(None))
    await tx.execute(update(EVENT_INDEX).where(is_open, is_state()).values(taken))
    await tx.execute(delete(EVENT_INDEX).where(is_open))


@dataclass(frozen=True, slots=True)
class Look:
    """Rows that outlived their run and were superseded, and where the look ended; None once all were looked at."""

    superseded: Sequence[int]
    ended_at: int | None


async def look(tx: Transaction, *, after_id: int, rows: int) -> Look:
    """Look through rows that outlived their run, for those that are nobody's state any more."""
    statement = (
        select(EVENT_INDEX.c.id, is_state().label("is_state"))
        .where(EVENT_INDEX.c.body.is_not(None), EVENT_INDEX.c.id > after_id)
        .order_by(EVENT_INDEX.c.id)
        .limit(rows)
    )
    found = (await tx.execute(statement)).all()
    ended_at = found[-1].id if len(found) == rows else None
    return Look([row.id for row in found if not row.is_state], ended_at)


async def remove_superseded(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Remove rows that `look` found. What was superseded once stays so."""
    await tx.execute(delete(EVENT_INDEX).where(EVENT_INDEX.c.id.in_(sorted(ids)), EVENT_INDEX.c.body.is_not(None)))


def is_state() -> ColumnElement[bool]:
    """Tell whether a row is the newest of what it is about; of runs alone nothing is state but their own rows."""
    table, later = EVENT_INDEX, EVENT_INDEX.alias("later")
    about = [getattr(later.c, name) == getattr(table.c, name) for name in ("deployment", "asset", "partition")]
    same_check = (*about, later.c.check_name == table.c.check_name, later.c.id > table.c.id)
    is_superseded = exists().where(*same_check, later.c.kind == table.c.kind)
    # A plan that was carried out is told by its evaluation.
    is_done = exists().where(*same_check, later.c.kind == CHECK_EVALUATED, later.c.run_id == table.c.run_id)
    return and_(table.c.asset > "", ~is_superseded, or_(table.c.kind != CHECK_PLANNED, ~is_done))
