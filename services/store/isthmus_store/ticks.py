"""Ticks: begun once for a time, and ended once."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import Executable, bindparam, delete, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from isthmus_store.record.automation import Tick, TickEnd
from isthmus_store.state import InstigatorKind, TickStatus
from isthmus_store.table.automation import INSTIGATORS, TICKS
from isthmus_store.transaction import Transaction, WriteTransaction


async def begin(tx: WriteTransaction, times: Mapping[int, datetime], *, at: datetime) -> list[Tick]:
    """Begin a tick for each instigator, by id, and remember its time as the instigator's last.

    Returns the ticks that are to be evaluated: not those that were begun already, whoever did that.
    """
    begun: list[Tick] = []
    for time, ids in _by_time(times).items():
        about = {"b_ids": ids, "b_time": time}
        begun += await tx.all(Tick, _beginning(is_postgresql=tx.is_postgresql), {**about, "b_at": at})
        await tx.execute(_REMEMBER, about)
    return sorted(begun, key=lambda it: it.instigator_id)


def _by_time(times: Mapping[int, datetime]) -> dict[datetime, list[int]]:
    """Group instigators by the time that they are due for: as a rule it is the same for all that begin together."""
    grouped: dict[datetime, list[int]] = {}
    for instigator_id, time in sorted(times.items()):
        grouped.setdefault(time, []).append(instigator_id)
    return grouped


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
    """End a tick; see `end_many`. False, and nothing is written, if it has ended."""
    return tick.id in await end_many(tx, [(tick, end)], at=at)


async def end_many(tx: WriteTransaction, ends: Sequence[tuple[Tick, TickEnd]], *, at: datetime) -> set[int]:
    """End ticks, and leave with their instigators what these are to remember.

    Returns the ids of those that this call ended: of the others, which had ended before, nothing is written.
    """
    open_ids = set((await tx.execute(_OPEN, {"b_ids": sorted(tick.id for tick, _ in ends)})).scalars())
    rows, cursors, keys = [], [], []
    for tick, it in ends:
        if tick.id not in open_ids:
            continue
        rows.append({"b_id": tick.id, "b_ended_at": at, **{f"b_{name}": getattr(it, name) for name in _ENDING}})
        rows[-1]["b_cursor"] = (it.cursor or "") if it.is_cursor_kept else ""
        cursors += [{"b_id": tick.instigator_id, "b_cursor": it.cursor}] if it.cursor is not None else []
        keys += [{"b_id": tick.instigator_id, "b_key": it.last_run_key}] if it.last_run_key else []
    for statement, parameters in ((_END, rows), (_MOVE_CURSOR, cursors), (_KEEP_KEY, keys)):
        if parameters:
            await tx.execute(statement, parameters)
    return open_ids


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
    # Said once for both, so that nothing is read of what is too young for either.
    latest = max(moment for moment in (ended_before, skipped_before) if moment is not None)
    oldest = select(table.c.id).where(table.c.ended_at < latest, or_(*is_old)).order_by(table.c.ended_at)
    found = await tx.execute(oldest.limit(rows))
    return found.scalars().all()


async def remove(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Remove ticks: one that has ended stays so."""
    await tx.execute(delete(TICKS).where(TICKS.c.id.in_(sorted(ids))))


@cache
def _beginning(*, is_postgresql: bool) -> Executable:
    """Build the statement that begins ticks for one time; for instigators that there are."""
    values = {
        "instigator_id": INSTIGATORS.c.id,
        "at": bindparam("b_time", type_=TICKS.c.at.type),
        "status": literal_column("'STARTED'"),
        "attempts": literal_column("1"),
        "began_at": bindparam("b_at", type_=TICKS.c.began_at.type),
        "failure": bindparam("b_nothing", value=b"", type_=TICKS.c.failure.type),
        "evaluation": bindparam("b_nothing", value=b"", type_=TICKS.c.evaluation.type),
    }
    rows = select(*values.values()).where(_AMONG).order_by(INSTIGATORS.c.id)
    insertion = (postgresql.insert if is_postgresql else sqlite.insert)(TICKS).from_select(list(values), rows)
    return insertion.on_conflict_do_nothing(index_elements=["instigator_id", "at"]).returning(TICKS)


_AMONG: Final = INSTIGATORS.c.id.in_(bindparam("b_ids", expanding=True))
_LATER: Final = bindparam("b_time", type_=INSTIGATORS.c.last_tick_at.type)
_REMEMBER: Final = (
    update(INSTIGATORS)
    .where(_AMONG, or_(INSTIGATORS.c.last_tick_at.is_(None), INSTIGATORS.c.last_tick_at < _LATER))
    .values(last_tick_at=_LATER)
)
#: What an end writes, besides when it was.
_ENDING: Final = ("status", "run_ids", "skip_reason", "failure", "evaluation", "cursor")
_OPEN: Final = (
    select(TICKS.c.id)
    .where(TICKS.c.id.in_(bindparam("b_ids", expanding=True)), TICKS.c.status == literal_column("'STARTED'"))
    # In one order, so that two who end the same ticks never wait for each other in a circle.
    .order_by(TICKS.c.id)
    .with_for_update()
)
_END: Final = (
    update(TICKS)
    .where(TICKS.c.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}") for name in (*_ENDING, "ended_at")})
)
_IS_ITS: Final = INSTIGATORS.c.id == bindparam("b_id")
_MOVE_CURSOR: Final = update(INSTIGATORS).where(_IS_ITS).values(cursor=bindparam("b_cursor"))
_KEEP_KEY: Final = update(INSTIGATORS).where(_IS_ITS).values(last_run_key=bindparam("b_key"))
