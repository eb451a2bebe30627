"""Removes runs that ended long ago with all that is theirs, and leaves what assets are asked about.

A run goes in one transaction: its index rows, events, tags, attempts, commands, and itself. One with very many events goes
in several: index rows first, then the run itself with the last of them, then its events, which nobody sees any more.
The run's row is locked meanwhile, so that telemetry that is stored at the same time comes before the removal, or finds no run.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, func, select

from isthmus_store.retention import outliving
from isthmus_store.state import TERMINAL_STATES
from isthmus_store.table.event import EVENTS
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.table.run import REMOVED_RUNS, RUN_ATTEMPTS, RUN_TAGS, RUNS
from isthmus_store.transaction import Transaction, WriteTransaction

#: A page of SQLite, bytes: the body of an event costs as much more to delete as it has pages of its own.
_PAGE_BYTES: Final = 4096
#: What a run costs beside its events, counted in events.
_RUN_WEIGHT: Final = 5


@dataclass(frozen=True, slots=True)
class DueRun:
    """A run to be removed, and what that costs, counted in events of ordinary size."""

    run_id: str
    weight: int


async def due(tx: Transaction, *, ended_before: datetime, limit: int) -> list[DueRun]:
    """Return runs that may be removed, those first that ended first."""
    statement = select(RUNS.c.run_id).where(*_is_due(ended_before)).order_by(RUNS.c.ended_at).limit(limit)
    run_ids = (await tx.execute(statement)).scalars().all()
    return await _weigh(tx, run_ids)


async def _weigh(tx: Transaction, run_ids: Sequence[str]) -> list[DueRun]:
    weighed = (func.count() + func.sum(func.length(EVENTS.c.body) / _PAGE_BYTES)).label("weight")
    events = select(EVENTS.c.run_id, weighed).where(EVENTS.c.run_id.in_(run_ids)).group_by(EVENTS.c.run_id)
    weights = {row.run_id: int(row.weight) for row in await tx.execute(events)}
    return [DueRun(run_id, _RUN_WEIGHT + weights.get(run_id, 0)) for run_id in run_ids]


async def weight(tx: Transaction, run_id: str) -> int:
    """Return what removing a run costs, counted as for `due`."""
    return (await _weigh(tx, [run_id]))[0].weight


async def remove(tx: WriteTransaction, run_ids: Collection[str], *, ended_before: datetime) -> int:
    """Remove runs whole; those that may not be removed (any more) are passed over. Returns how many went."""
    held = await _lock(tx, run_ids, ended_before=ended_before)
    if held:
        await outliving.settle_runs(tx, held)
        await tx.execute(delete(EVENTS).where(EVENTS.c.run_id.in_(held)))
        await _remove_rows(tx, held)
    return len(held)


async def remove_part(tx: WriteTransaction, run_id: str, *, ended_before: datetime, rows: int) -> bool:
    """Remove a part of a run that is too large for one transaction. Returns whether more of it is to be removed here.

    After the last part the run is gone, and its events are left to `remove_events`.
    """
    held = await _lock(tx, [run_id], ended_before=ended_before)
    if not held:
        return False
    if await outliving.settle_part(tx, run_id, rows=rows):
        return True
    await tx.execute(tx.insert(REMOVED_RUNS).values(run_id=run_id).on_conflict_do_nothing())
    await _remove_rows(tx, held)
    return False


async def half_removed(tx: Transaction) -> str | None:
    """Return a run that is gone, and whose events are not yet; None when there is none."""
    return (await tx.execute(select(REMOVED_RUNS.c.run_id).limit(1))).scalar_one_or_none()


async def events_up_to(tx: Transaction, run_id: str, *, weight: int) -> int:
    """Return the position up to which the events of a run weigh as much together, or a little more; 0 without events."""
    statement = (
        select(EVENTS.c.position, (func.length(EVENTS.c.body) / _PAGE_BYTES).label("pages"))
        .where(EVENTS.c.run_id == run_id)
        .order_by(EVENTS.c.position)
        .limit(weight)
    )
    position, sum_ = 0, 0
    for row in await tx.execute(statement):
        position, sum_ = row.position, sum_ + 1 + int(row.pages)
        if sum_ >= weight:
            break
    return position


async def remove_events(tx: WriteTransaction, run_id: str, *, up_to: int) -> None:
    """Remove events of a run that is gone; with `up_to` 0 there are none left, and the run is forgotten."""
    if up_to:
        await tx.execute(delete(EVENTS).where(EVENTS.c.run_id == run_id, EVENTS.c.position <= up_to))
    else:
        await tx.execute(delete(REMOVED_RUNS).where(REMOVED_RUNS.c.run_id == run_id))


async def _lock(tx: WriteTransaction, run_ids: Collection[str], *, ended_before: datetime) -> Sequence[str]:
    """Hold those of the runs that may be removed, in the order in which everybody locks runs."""
    wanted = (RUNS.c.run_id.in_(sorted(run_ids)), *_is_due(ended_before))
    statement = select(RUNS.c.run_id).where(*wanted).order_by(RUNS.c.run_id).with_for_update()
    return (await tx.execute(statement)).scalars().all()


async def _remove_rows(tx: WriteTransaction, run_ids: Sequence[str]) -> None:
    for table in (INSTRUCTIONS, RUN_TAGS, RUN_ATTEMPTS, RUNS):
        await tx.execute(delete(table).where(table.c.run_id.in_(run_ids)))


def _is_due(ended_before: datetime) -> tuple[ColumnElement[bool], ...]:
    is_awaited = exists().where(INSTRUCTIONS.c.run_id == RUNS.c.run_id, INSTRUCTIONS.c.settled_at.is_(None))
    # The state, too: a run that came back to life has no end.
    return RUNS.c.ended_at < ended_before, RUNS.c.state.in_(TERMINAL_STATES), ~is_awaited
