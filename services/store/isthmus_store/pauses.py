"""What somebody has paused, with who did it and why."""

from collections.abc import Collection

from sqlalchemy import delete, select

from isthmus_store.record.queue import Pause, PauseKind
from isthmus_store.table.queue import PAUSES
from isthmus_store.transaction import Transaction, WriteTransaction


async def all_of(tx: Transaction, *, deployments: Collection[str] | None = None) -> list[Pause]:
    """Return what is paused in deployments, or everywhere."""
    statement = select(PAUSES).order_by(PAUSES.c.deployment, PAUSES.c.kind, PAUSES.c.name)
    if deployments is not None:
        statement = statement.where(PAUSES.c.deployment.in_(sorted(deployments)))
    return [Pause(**{**row, "kind": PauseKind(row["kind"])}) for row in (await tx.execute(statement)).mappings()]


async def pause(tx: WriteTransaction, it: Pause) -> Pause:
    """Pause something; what is paused already stays as it was, and is returned so."""
    values = {column.name: getattr(it, column.name) for column in PAUSES.c}
    await tx.execute(tx.insert(PAUSES).on_conflict_do_nothing(), values)
    known = await all_of(tx, deployments=[it.deployment])
    return next(other for other in known if (other.kind, other.name) == (it.kind, it.name))


async def resume(tx: WriteTransaction, deployment: str, *, kind: PauseKind, name: str) -> bool:
    """Let something go on; returns whether it was paused."""
    where = (PAUSES.c.deployment == deployment, PAUSES.c.kind == kind.value, PAUSES.c.name == name)
    return (await tx.execute(delete(PAUSES).where(*where))).rowcount == 1
