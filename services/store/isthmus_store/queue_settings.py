"""Settings of the run queue, a row for each deployment that has some."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from isthmus_store.record.queue import QueueSettings
from isthmus_store.table.queue import QUEUE_SETTINGS
from isthmus_store.transaction import Transaction, WriteTransaction


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSettings:
    """What somebody wants the settings to be; `body` is a QueueSettings message."""

    body: bytes
    is_limiting: bool
    changed_by: str
    changed_at: datetime


async def get(tx: Transaction, deployment: str) -> QueueSettings | None:
    """Return a deployment's settings; None when none were ever set."""
    return await tx.first(QueueSettings, select(QUEUE_SETTINGS).where(QUEUE_SETTINGS.c.deployment == deployment))


async def all_of(tx: Transaction, *, deployments: Collection[str] | None = None) -> list[QueueSettings]:
    """Return the settings of deployments, or of all that have some."""
    statement = select(QUEUE_SETTINGS).order_by(QUEUE_SETTINGS.c.deployment)
    if deployments is not None:
        statement = statement.where(QUEUE_SETTINGS.c.deployment.in_(sorted(deployments)))
    return await tx.all(QueueSettings, statement)


async def save(tx: WriteTransaction, deployment: str, new: NewSettings) -> QueueSettings:
    """Replace a deployment's settings, under the next revision; equal ones stay as they are."""
    await tx.exclusive(f"queue settings {deployment}")
    known = await get(tx, deployment)
    if known is not None and known.body == new.body:
        return known
    saved = QueueSettings(
        deployment=deployment,
        revision=known.revision + 1 if known is not None else 1,
        body=new.body,
        is_limiting=new.is_limiting,
        changed_by=new.changed_by,
        changed_at=new.changed_at,
    )
    values = {column.name: getattr(saved, column.name) for column in QUEUE_SETTINGS.c}
    insertion = tx.insert(QUEUE_SETTINGS).values(values)
    await tx.execute(insertion.on_conflict_do_update(index_elements=["deployment"], set_=values))
    return saved
