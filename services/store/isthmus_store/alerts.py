"""The alert outbox: what people want to know, and its way to each receiver."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal_column, or_, select, update

from isthmus_store.record.alert import AlertDelivery, NewAlert
from isthmus_store.record.run import Run
from isthmus_store.table.alert import ALERT_DELIVERIES, ALERTS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction


async def add(tx: WriteTransaction, alert: NewAlert, *, endpoints: Collection[str]) -> bool:
    """Write an alert and a delivery for each receiver. Returns False, writing nothing, for an id that is there."""
    insertion = tx.insert(ALERTS).values(
        id=alert.id,
        kind=alert.kind,
        deployment=alert.deployment,
        subject=alert.subject,
        payload=alert.payload,
        created_at=alert.created_at,
        policy=alert.policy,
        dedup=alert.dedup,
        facts=alert.facts,
    )
    is_new = (await tx.execute(insertion.on_conflict_do_nothing(index_elements=["id"]))).rowcount == 1
    if is_new and endpoints:
        await tx.execute(
            ALERT_DELIVERIES.insert(),
            [
                {
                    "alert_id": alert.id,
                    "endpoint": endpoint,
                    "next_attempt_at": alert.created_at,
                    "tries": 0,
                    "last_error": "",
                }
                for endpoint in sorted(endpoints)
            ],
        )
    return is_new


async def untold_failures(tx: Transaction, *, kind: str, since: datetime, limit: int = 200) -> list[Run]:
    """Return runs that failed since then and have no alert of this kind about them, the longest ago first."""
    is_told = exists().where(ALERTS.c.subject == RUNS.c.run_id, ALERTS.c.kind == kind)
    has_failed = (RUNS.c.state == literal_column("'FAILED'"), RUNS.c.ended_at > since)
    return await tx.all(Run, select(RUNS).where(*has_failed, ~is_told).order_by(RUNS.c.ended_at).limit(limit))


async def recent(
    tx: Transaction, *, deployment: str, policy: str = "", before: datetime | None = None, limit: int = 100
) -> list[NewAlert]:
    """Return the deployment's alerts, or those of one policy, newest first."""
    return await tx.all(NewAlert, _recent(deployment, policy=policy, before=before).limit(limit))


async def sent(
    tx: Transaction, *, deployment: str, policy: str = "", before: datetime | None = None, limit: int
) -> list[NewAlert]:
    """Return as `recent` does, without what no policy and no receiver asked for."""
    is_asked_for = or_(ALERTS.c.policy != "", exists().where(ALERT_DELIVERIES.c.alert_id == ALERTS.c.id))
    statement = _recent(deployment, policy=policy, before=before).where(is_asked_for)
    return await tx.all(NewAlert, statement.limit(limit))


def _recent(deployment: str, *, policy: str, before: datetime | None) -> Select[tuple[object, ...]]:
    statement = select(*ALERTS.c).where(ALERTS.c.deployment == deployment)
    if policy:
        statement = statement.where(ALERTS.c.policy == policy)
    if before is not None:
        statement = statement.where(ALERTS.c.created_at < before)
    return statement.order_by(ALERTS.c.created_at.desc(), ALERTS.c.id)


async def due_endpoints(tx: Transaction, *, now: datetime, limit: int, besides: Collection[str] = ()) -> list[str]:
    """Return receivers to which something is due, the longest waiting first; none of `besides`."""
    table = ALERT_DELIVERIES
    statement = select(table.c.endpoint).where(*_is_open(), table.c.next_attempt_at <= now)
    if besides:
        statement = statement.where(table.c.endpoint.not_in(sorted(besides)))
    order = func.min(table.c.next_attempt_at)
    rows = await tx.execute(statement.group_by(table.c.endpoint).order_by(order).limit(limit))
    return [row.endpoint for row in rows]


async def next_due_at(tx: Transaction, *, besides: Collection[str] = ()) -> datetime | None:
    """Return when the next delivery is due, to other receivers than those of `besides`; None when nothing waits."""
    statement = select(func.min(ALERT_DELIVERIES.c.next_attempt_at)).where(*_is_open())
    if besides:
        statement = statement.where(ALERT_DELIVERIES.c.endpoint.not_in(sorted(besides)))
    earliest: datetime | None = (await tx.execute(statement)).scalar_one()
    return earliest


async def of_lane(tx: Transaction, endpoint: str, *, now: datetime, limit: int) -> list[AlertDelivery]:
    """Return what is due to one receiver, the longest waiting first."""
    condition = (*_is_open(), ALERT_DELIVERIES.c.endpoint == endpoint, ALERT_DELIVERIES.c.next_attempt_at <= now)
    order = (ALERT_DELIVERIES.c.next_attempt_at, ALERT_DELIVERIES.c.alert_id)
    return await tx.all(AlertDelivery, _deliveries().where(*condition).order_by(*order).limit(limit))


async def deliveries_of(tx: Transaction, alert_ids: Collection[str]) -> dict[str, list[AlertDelivery]]:
    """Return the deliveries of some alerts, by receiver."""
    statement = _deliveries().where(ALERTS.c.id.in_(sorted(alert_ids))).order_by(ALERT_DELIVERIES.c.endpoint)
    found: dict[str, list[AlertDelivery]] = {}
    for it in await tx.all(AlertDelivery, statement):
        found.setdefault(it.alert_id, []).append(it)
    return found


async def deliveries(tx: Transaction, alert_id: str) -> list[AlertDelivery]:
    """Return the alert's deliveries by receiver."""
    statement = _deliveries().where(ALERTS.c.id == alert_id).order_by(ALERT_DELIVERIES.c.endpoint)
    return await tx.all(AlertDelivery, statement)


async def claim(tx: WriteTransaction, delivery: AlertDelivery, *, until: datetime) -> bool:
    """Keep others from sending it for a while; False when somebody else does, or has."""
    is_as_seen = and_(_is(delivery), ALERT_DELIVERIES.c.next_attempt_at == delivery.next_attempt_at, *_is_open())
    claimed = await tx.execute(update(ALERT_DELIVERIES).where(is_as_seen).values(next_attempt_at=until))
    return claimed.rowcount == 1


async def mark_delivered(tx: WriteTransaction, delivery: AlertDelivery, *, at: datetime) -> None:
    """Record that the receiver took the alert."""
    values = {"delivered_at": at, "tries": delivery.tries + 1, "last_error": ""}
    await tx.execute(update(ALERT_DELIVERIES).where(_is(delivery)).values(values))


async def mark_failed(
    tx: WriteTransaction, delivery: AlertDelivery, *, error: str, next_attempt_at: datetime | None, at: datetime
) -> None:
    """Record a failed try, and when the next one is; None gives the delivery up."""
    values: dict[str, object] = {"tries": delivery.tries + 1, "last_error": error}
    if next_attempt_at is None:
        values["gave_up_at"] = at
    else:
        values["next_attempt_at"] = next_attempt_at
    await tx.execute(update(ALERT_DELIVERIES).where(_is(delivery)).values(values))


def _deliveries() -> Select[tuple[object, ...]]:
    alert = [column for column in ALERTS.c if column.name != "id"]
    return select(*alert, *ALERT_DELIVERIES.c).join(ALERT_DELIVERIES, ALERT_DELIVERIES.c.alert_id == ALERTS.c.id)


def _is_open() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return ALERT_DELIVERIES.c.delivered_at.is_(None), ALERT_DELIVERIES.c.gave_up_at.is_(None)


def _is(delivery: AlertDelivery) -> ColumnElement[bool]:
    table = ALERT_DELIVERIES
    return and_(table.c.alert_id == delivery.alert_id, table.c.endpoint == delivery.endpoint)
