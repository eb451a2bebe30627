"""The alert outbox: what people want to know, and its way to each receiver."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, exists, func, literal_column, select, update

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


async def recent(tx: Transaction, *, deployment: str, limit: int = 100) -> list[NewAlert]:
    """Return the deployment's alerts, newest first."""
    statement = (
        select(ALERTS)
        .where(ALERTS.c.deployment == deployment)
        .order_by(ALERTS.c.created_at.desc(), ALERTS.c.id)
        .limit(limit)
    )
    return await tx.all(NewAlert, statement)


async def due(tx: Transaction, *, now: datetime, limit: int = 50) -> list[AlertDelivery]:
    """Return deliveries whose time has come, the longest waiting first."""
    condition = (*_is_open(), ALERT_DELIVERIES.c.next_attempt_at <= now)
    order = (ALERT_DELIVERIES.c.next_attempt_at, ALERT_DELIVERIES.c.alert_id)
    return await tx.all(AlertDelivery, _deliveries().where(*condition).order_by(*order).limit(limit))


async def next_due_at(tx: Transaction) -> datetime | None:
    """Return when the next delivery is due; None when nothing waits."""
    statement = select(func.min(ALERT_DELIVERIES.c.next_attempt_at)).where(*_is_open())
    earliest: datetime | None = (await tx.execute(statement)).scalar_one()
    return earliest


async def deliveries(tx: Transaction, alert_id: str) -> list[AlertDelivery]:
    """Return the alert's deliveries by receiver."""
    statement = _deliveries().where(ALERTS.c.id == alert_id).order_by(ALERT_DELIVERIES.c.endpoint)
    return await tx.all(AlertDelivery, statement)


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
