"""Schedules and sensors: whether they run, since when, and what they remember."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, delete, exists, select, update

from isthmus_store.record.automation import Defined, Instigator, InstigatorKey
from isthmus_store.state import InstigatorKind, InstigatorStatus
from isthmus_store.table.automation import INSTIGATORS, TICKS
from isthmus_store.transaction import Transaction, WriteTransaction


async def all_of(
    tx: Transaction,
    *,
    kind: InstigatorKind | None = None,
    deployment: str | None = None,
    location: str | None = None,
) -> list[Instigator]:
    """Return those of a kind, a deployment and a location, by name; also those that no location defines any more."""
    table = INSTIGATORS
    wanted = [
        column == value
        for column, value in (
            (table.c.kind, kind),
            (table.c.deployment, deployment),
            (table.c.location, location),
        )
        if value is not None
    ]
    order = (table.c.deployment, table.c.location, table.c.kind, table.c.name)
    return await tx.all(Instigator, select(table).where(*wanted).order_by(*order))


async def get(tx: Transaction, key: InstigatorKey) -> Instigator | None:
    """Return one, or None."""
    found = await tx.all(Instigator, select(INSTIGATORS).where(*_is(key)))
    return found[0] if found else None


async def some(tx: Transaction, ids: Collection[int]) -> list[Instigator]:
    """Return those of the ids that exist."""
    return await tx.all(Instigator, select(INSTIGATORS).where(INSTIGATORS.c.id.in_(sorted(ids))))


async def define(tx: WriteTransaction, defined: Iterable[Defined], *, at: datetime) -> None:
    """Take note of what locations define now.

    A decision of a person's holds. Without one the code's default does. The times of one that is new, that begins to run, or
    whose definition changed count from now on.
    """
    wanted = {it.key: it for it in defined}
    known = {it.key: it for it in await _locked(tx, {(key.deployment, key.location) for key in wanted})}
    added = [_added(it, at=at) for key, it in wanted.items() if key not in known]
    if added:
        await tx.execute(tx.insert(INSTIGATORS).on_conflict_do_nothing(), added)
    changed = [
        _changed(known[key], it, at=at) for key, it in wanted.items() if key in known and _differs(known[key], it)
    ]
    if changed:
        await tx.execute(_CHANGE, changed)


def differs(known: Instigator | None, defined: Defined) -> bool:
    """Tell whether `define` would change something."""
    return known is None or _differs(known, defined)


async def mark_gone(tx: WriteTransaction, ids: Collection[int], *, at: datetime) -> None:
    """Note that no location defines them any more: they do not run, and a decision about them holds on."""
    table = INSTIGATORS
    is_there = (table.c.id.in_(sorted(ids)), table.c.gone_at.is_(None))
    await tx.execute(update(table).where(*is_there).values(gone_at=at, is_running=False))


async def decide(
    tx: WriteTransaction, key: InstigatorKey, decided: InstigatorStatus, *, by: str, at: datetime
) -> Instigator | None:
    """Store what a person decided; None when there is no such schedule or sensor. The same again changes nothing."""
    table = INSTIGATORS
    known = next((it for it in await _locked(tx, {(key.deployment, key.location)}) if it.key == key), None)
    if known is None or known.decided is decided:
        return known
    is_running = decided is InstigatorStatus.RUNNING and known.gone_at is None
    values = {"decided": decided, "decided_by": by, "decided_at": at, "is_running": is_running}
    if is_running and not known.is_running:
        values["since"] = at
    await tx.execute(update(table).where(table.c.id == known.id).values(values))
    return await get(tx, key)


async def set_cursor(tx: WriteTransaction, instigator_id: int, cursor: str) -> None:
    """Put a sensor's cursor somewhere else."""
    await tx.execute(update(INSTIGATORS).where(INSTIGATORS.c.id == instigator_id).values(cursor=cursor))


async def removable(tx: Transaction, rows: int, *, gone_before: datetime) -> Sequence[int]:
    """Return those that no location defines for long, and whose ticks are gone."""
    table = INSTIGATORS
    has_ticks = exists().where(TICKS.c.instigator_id == table.c.id)
    is_old = (table.c.gone_at < gone_before, ~has_ticks)
    return (await tx.execute(select(table.c.id).where(*is_old).order_by(table.c.id).limit(rows))).scalars().all()


async def remove(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Forget them, but for those that are defined again."""
    table = INSTIGATORS
    await tx.execute(delete(table).where(table.c.id.in_(sorted(ids)), table.c.gone_at.is_not(None)))


def _differs(known: Instigator, defined: Defined) -> bool:
    is_same = known.definition == defined.definition and known.gone_at is None
    return not is_same or known.is_running != _is_running(known, defined)


def _is_running(known: Instigator, defined: Defined) -> bool:
    return defined.is_running_by_default if known.decided is None else known.decided is InstigatorStatus.RUNNING


def _added(it: Defined, *, at: datetime) -> dict[str, object]:
    return {
        **it.key._asdict(),
        "definition": it.definition,
        "since": at,
        "is_running": it.is_running_by_default,
    }


def _changed(known: Instigator, it: Defined, *, at: datetime) -> dict[str, object]:
    is_running = _is_running(known, it)
    begins = is_running and not known.is_running
    return {
        "b_id": known.id,
        "b_definition": it.definition,
        "b_since": at if begins or known.definition != it.definition else known.since,
        "b_is_running": is_running,
    }


async def _locked(tx: WriteTransaction, locations: Collection[tuple[str, str]]) -> list[Instigator]:
    table, found = INSTIGATORS, []
    for deployment, location in sorted(locations):
        is_meant = (table.c.deployment == deployment, table.c.location == location)
        found += await tx.all(Instigator, select(table).where(*is_meant).order_by(table.c.id).with_for_update())
    return found


def _is(key: InstigatorKey) -> list[ColumnElement[bool]]:
    return [INSTIGATORS.c[name] == value for name, value in key._asdict().items()]


_CHANGE = (
    update(INSTIGATORS)
    .where(INSTIGATORS.c.id == bindparam("b_id"))
    .values(
        definition=bindparam("b_definition"),
        since=bindparam("b_since"),
        is_running=bindparam("b_is_running"),
        gone_at=None,
    )
)
