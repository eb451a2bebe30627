"""Messages that nobody could use, kept for people to look at."""

from sqlalchemy import select

from isthmus_store.record.dead_letter import DeadLetter, NewDeadLetter
from isthmus_store.table.instruction import DEAD_LETTERS
from isthmus_store.transaction import Transaction, WriteTransaction


async def add(tx: WriteTransaction, letter: NewDeadLetter) -> int:
    """Keep a dead letter and return its number."""
    values = {
        "received_at": letter.received_at,
        "queue": letter.queue,
        "reason": letter.reason,
        "instruction_id": letter.instruction_id,
        "sender": letter.sender,
        "body": letter.body,
    }
    inserted = await tx.execute(DEAD_LETTERS.insert().values(values).returning(DEAD_LETTERS.c.id))
    return int(inserted.scalar_one())


async def recent(tx: Transaction, *, limit: int = 100) -> list[DeadLetter]:
    """Return the newest dead letters first."""
    return await tx.all(DeadLetter, select(DEAD_LETTERS).order_by(DEAD_LETTERS.c.id.desc()).limit(limit))
