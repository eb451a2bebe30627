"""What alert policies have taken in: facts, what lasts, and what is gathered for the next messages."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, select, update

from isthmus_store.alert_policies import CURSOR
from isthmus_store.record.alert import AlertGroup, AlertIncident
from isthmus_store.table.alert import ALERT_CURSORS, ALERT_FACTS, ALERT_GROUPS, ALERT_INCIDENTS, ALERTS
from isthmus_store.transaction import Transaction, WriteTransaction


async def cursor(tx: Transaction) -> int:
    """Return the id of the last event of the index that was looked at."""
    statement = select(ALERT_CURSORS.c.event_id).where(ALERT_CURSORS.c.name == CURSOR)
    return (await tx.execute(statement)).scalar_one_or_none() or 0


async def move_cursor(tx: WriteTransaction, event_id: int) -> None:
    """Remember the last event that was looked at."""
    values = {"event_id": event_id}
    insertion = tx.insert(ALERT_CURSORS).values(name=CURSOR, **values)
    await tx.execute(insertion.on_conflict_do_update(index_elements=["name"], set_=values))


async def take(tx: WriteTransaction, *, deployment: str, policy: str, fact: str, at: datetime) -> bool:
    """Take a fact in; False when the policy has it."""
    insertion = tx.insert(ALERT_FACTS).values(deployment=deployment, policy=policy, fact=fact, at=at)
    return (await tx.execute(insertion.on_conflict_do_nothing())).rowcount == 1


async def incidents(tx: Transaction) -> list[AlertIncident]:
    """Return all that lasts."""
    return await tx.all(AlertIncident, select(ALERT_INCIDENTS))


async def count_incidents(tx: Transaction, *, deployment: str) -> dict[str, int]:
    """Return how much lasts, by policy."""
    table = ALERT_INCIDENTS
    counted = select(table.c.policy, func.count().label("number")).where(table.c.deployment == deployment)
    return {row.policy: row.number for row in await tx.execute(counted.group_by(table.c.policy))}


async def open_incident(tx: WriteTransaction, incident: AlertIncident) -> None:
    """Note that something lasts, and was told; one that is known was told again."""
    insertion = tx.insert(ALERT_INCIDENTS).values(asdict(incident))
    key = ["deployment", "policy", "dedup"]
    await tx.execute(insertion.on_conflict_do_update(index_elements=key, set_={"told_at": incident.told_at}))


async def close_incident(tx: WriteTransaction, incident: AlertIncident) -> None:
    """Forget what is over."""
    await tx.execute(delete(ALERT_INCIDENTS).where(_is_incident(incident)))


async def groups(tx: Transaction) -> list[AlertGroup]:
    """Return what is gathered, the first due first."""
    return await tx.all(AlertGroup, select(ALERT_GROUPS).order_by(ALERT_GROUPS.c.due_at))


async def next_due_at(tx: Transaction) -> datetime | None:
    """Return when the next message is due; None when nothing is gathered."""
    earliest: datetime | None = (await tx.execute(select(func.min(ALERT_GROUPS.c.due_at)))).scalar_one()
    return earliest


async def keep_group(tx: WriteTransaction, group: AlertGroup) -> None:
    """Write what is gathered."""
    values = asdict(group)
    key = ["deployment", "policy", "dedup", "is_over"]
    insertion = tx.insert(ALERT_GROUPS).values(values)
    await tx.execute(insertion.on_conflict_do_update(index_elements=key, set_=values))


async def postpone(tx: WriteTransaction, group: AlertGroup, *, until: datetime) -> None:
    """Let a message wait."""
    await tx.execute(update(ALERT_GROUPS).where(_is_group(group)).values(due_at=until))


async def remove_group(tx: WriteTransaction, group: AlertGroup) -> None:
    """Forget what was gathered: it was told."""
    await tx.execute(delete(ALERT_GROUPS).where(_is_group(group)))


async def told_since(tx: Transaction, *, deployment: str, policy: str, since: datetime) -> list[tuple[str, datetime]]:
    """Return what a policy told since then: what each message was about, and when, oldest first."""
    table = ALERTS
    # Examples tell nothing.
    is_told = (table.c.created_at > since, table.c.kind != "test")
    told = (table.c.deployment == deployment, table.c.policy == policy, *is_told)
    rows = await tx.execute(select(table.c.dedup, table.c.created_at).where(*told).order_by(table.c.created_at))
    return [(row.dedup, row.created_at) for row in rows]


async def old_facts(tx: Transaction, rows: int, *, taken_before: datetime) -> list[tuple[str, str, str]]:
    """Return facts that were taken in long ago, oldest first."""
    table = ALERT_FACTS
    keys = select(table.c.deployment, table.c.policy, table.c.fact).where(table.c.at < taken_before)
    found = await tx.execute(keys.order_by(table.c.at).limit(rows))
    return [(row.deployment, row.policy, row.fact) for row in found]


async def remove_facts(tx: WriteTransaction, keys: Collection[tuple[str, str, str]]) -> None:
    """Forget facts."""
    await tx.delete_rows(ALERT_FACTS, sorted(keys))


def _is_incident(it: AlertIncident) -> ColumnElement[bool]:
    table = ALERT_INCIDENTS
    return and_(table.c.deployment == it.deployment, table.c.policy == it.policy, table.c.dedup == it.dedup)


def _is_group(it: AlertGroup) -> ColumnElement[bool]:
    table = ALERT_GROUPS
    same = (table.c.deployment == it.deployment, table.c.policy == it.policy, table.c.dedup == it.dedup)
    return and_(*same, table.c.is_over == it.is_over)
