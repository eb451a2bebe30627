"""What alert policies look for among rows that others keep: each answer is bounded."""

from datetime import datetime

from sqlalchemy import literal_column, select

from isthmus_store.record.dead_letter import DeadLetter
from isthmus_store.record.run import Run
from isthmus_store.table.instruction import DEAD_LETTERS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction


async def waiting(tx: Transaction, *, queued_before: datetime, limit: int = 500) -> list[Run]:
    """Return runs that wait since before then, those that began to wait last first."""
    is_waiting = (RUNS.c.state == literal_column("'QUEUED'"), RUNS.c.queued_at < queued_before)
    return await tx.all(Run, select(RUNS).where(*is_waiting).order_by(RUNS.c.queued_at.desc()).limit(limit))


async def running(tx: Transaction, *, started_before: datetime, limit: int = 500) -> list[Run]:
    """Return runs that have not ended and began before then, those that began last first."""
    is_running = (RUNS.c.ended_at.is_(None), RUNS.c.started_at < started_before)
    return await tx.all(Run, select(RUNS).where(*is_running).order_by(RUNS.c.started_at.desc()).limit(limit))


async def oldest_end(tx: Transaction) -> datetime | None:
    """Return when the run ended that ended longest ago."""
    statement = select(RUNS.c.ended_at).where(RUNS.c.ended_at.is_not(None)).order_by(RUNS.c.ended_at).limit(1)
    found: datetime | None = (await tx.execute(statement)).scalar_one_or_none()
    return found


async def letters(tx: Transaction, *, received_after: datetime, limit: int = 500) -> list[DeadLetter]:
    """Return dead letters that came after then, newest first."""
    table = DEAD_LETTERS
    statement = select(table).where(table.c.received_at > received_after).order_by(table.c.id.desc()).limit(limit)
    return await tx.all(DeadLetter, statement)
