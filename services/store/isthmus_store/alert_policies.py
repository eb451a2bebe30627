"""Alert policies: who is told of what."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, select, update

from isthmus_store import event_index
from isthmus_store.record.alert import AlertPolicyRow
from isthmus_store.table.alert import ALERT_CURSORS, ALERT_GROUPS, ALERT_INCIDENTS, ALERT_POLICIES
from isthmus_store.transaction import Transaction, WriteTransaction

#: The reader of the index over events.
CURSOR = "alerts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What a sync changes; names, in order."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    #: There, not named, and left as they are.
    kept: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mute:
    """Why nothing is sent for a policy."""

    at: datetime
    #: None for until somebody unmutes it.
    until: datetime | None
    by: str
    why: str


async def all_of(tx: Transaction, *, deployment: str | None = None) -> list[AlertPolicyRow]:
    """Return the policies of a deployment, or all, by name."""
    statement = select(ALERT_POLICIES).order_by(ALERT_POLICIES.c.deployment, ALERT_POLICIES.c.name)
    if deployment is not None:
        statement = statement.where(ALERT_POLICIES.c.deployment == deployment)
    return await tx.all(AlertPolicyRow, statement)


async def get(tx: Transaction, *, deployment: str, name: str) -> AlertPolicyRow | None:
    """Return a policy, or None."""
    return await tx.first(AlertPolicyRow, select(ALERT_POLICIES).where(_is(deployment, name)))


async def compare(tx: Transaction, deployment: str, bodies: Mapping[str, bytes], *, is_pruned: bool) -> Changes:
    """Tell what `sync` would change."""
    known = {it.name: it.body for it in await all_of(tx, deployment=deployment)}
    beside = tuple(sorted(set(known) - set(bodies)))
    return Changes(
        added=tuple(sorted(set(bodies) - set(known))),
        changed=tuple(sorted(name for name, body in bodies.items() if name in known and known[name] != body)),
        removed=beside if is_pruned else (),
        unchanged=tuple(sorted(name for name, body in bodies.items() if known.get(name) == body)),
        kept=() if is_pruned else beside,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """What policies a deployment is to have; `bodies` are AlertPolicy messages by name."""

    deployment: str
    bodies: Mapping[str, bytes]
    #: Whether those that are not named are removed.
    is_pruned: bool
    by: str
    at: datetime


async def sync(tx: WriteTransaction, wanted: Sync) -> Changes:
    """Put policies in the place of those that have their names. What is equal stays under its revision."""
    deployment = wanted.deployment
    await tx.exclusive(f"alert policies {deployment}")
    changes = await compare(tx, deployment, wanted.bodies, is_pruned=wanted.is_pruned)
    if changes.added:
        await _begin_reading(tx)
    for name in (*changes.added, *changes.changed):
        known = await get(tx, deployment=deployment, name=name)
        values = {
            "revision": known.revision + 1 if known is not None else 1,
            "body": wanted.bodies[name],
            "changed_by": wanted.by,
            "changed_at": wanted.at,
        }
        insertion = tx.insert(ALERT_POLICIES).values(deployment=deployment, name=name, **values)
        await tx.execute(insertion.on_conflict_do_update(index_elements=["deployment", "name"], set_=values))
    await _remove(tx, deployment, changes.removed)
    return changes


async def mute(tx: WriteTransaction, *, deployment: str, name: str, how: Mute | None) -> AlertPolicyRow | None:
    """Let nothing be sent for a policy, or, with None, let it be sent again; None when there is no such policy."""
    known = await get(tx, deployment=deployment, name=name)
    if known is None:
        return None
    muted = replace(
        known,
        muted_at=how.at if how is not None else None,
        muted_until=how.until if how is not None else None,
        muted_by=how.by if how is not None else "",
        mute_why=how.why if how is not None else "",
    )
    columns = ("muted_at", "muted_until", "muted_by", "mute_why")
    values = {column: getattr(muted, column) for column in columns}
    await tx.execute(update(ALERT_POLICIES).where(_is(deployment, name)).values(values))
    return muted


async def _begin_reading(tx: WriteTransaction) -> None:
    """With the first policy, what happens from now on counts."""
    if (await tx.execute(select(ALERT_POLICIES.c.name).limit(1))).first() is None:
        values = {"event_id": await event_index.newest_id(tx)}
        insertion = tx.insert(ALERT_CURSORS).values(name=CURSOR, **values)
        await tx.execute(insertion.on_conflict_do_update(index_elements=["name"], set_=values))


async def _remove(tx: WriteTransaction, deployment: str, names: Collection[str]) -> None:
    for table in (ALERT_INCIDENTS, ALERT_GROUPS):
        await tx.execute(delete(table).where(table.c.deployment == deployment, table.c.policy.in_(sorted(names))))
    named = ALERT_POLICIES.c.name.in_(sorted(names))
    await tx.execute(delete(ALERT_POLICIES).where(ALERT_POLICIES.c.deployment == deployment, named))


def _is(deployment: str, name: str) -> ColumnElement[bool]:
    return and_(ALERT_POLICIES.c.deployment == deployment, ALERT_POLICIES.c.name == name)
