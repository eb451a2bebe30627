"""Runs as people name them: by the beginning of an id, or by the place from the newest."""

from typing import Final

from sqlalchemy import select

from isthmus_store.record.run import Run
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction

#: The ends of the range of all ids. A beginning is filled up from them, so that the primary key answers, whatever the
#: database's collation makes of hyphens: within the range they stand at the same places.
_LOWEST: Final = "00000000-0000-0000-0000-000000000000"
_HIGHEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


async def beginning_with(tx: Transaction, prefix: str, *, deployment: str, limit: int) -> list[Run]:
    """Return runs whose ids begin so, in the order of their ids.

    Args:
        tx: The transaction.
        prefix: The beginning of a UUID, in lower case and with its hyphens.
        deployment: Whose runs.
        limit: The most that are returned.
    """
    lowest, highest = (prefix + end[len(prefix) :] for end in (_LOWEST, _HIGHEST))
    wanted = (RUNS.c.run_id.between(lowest, highest), RUNS.c.deployment == deployment)
    return await tx.all(Run, select(RUNS).where(*wanted).order_by(RUNS.c.run_id).limit(limit))


async def nth_newest(tx: Transaction, place: int, *, deployment: str) -> Run | None:
    """Return the run at a place from the newest, which is 1; None when there are not so many."""
    newest_first = RUNS.c.queued_at.desc(), RUNS.c.run_id.desc()
    statement = select(RUNS).where(RUNS.c.deployment == deployment).order_by(*newest_first)
    return await tx.first(Run, statement.offset(place - 1).limit(1))
