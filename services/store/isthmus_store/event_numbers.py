"""The numbers of events in the index: what keeps whoever goes on "after number N" from passing over one that came late."""

from typing import Final

from sqlalchemy import text

from isthmus_store.transaction import Transaction

#: How long it is waited for writers to finish, milliseconds.
_LOCK_TIMEOUT_MS: Final = 3_000


async def hold_still(tx: Transaction) -> None:
    """Wait for the writers of events that are under way, and fix what this transaction sees. To be called first.

    On PostgreSQL numbers are given before they are committed: without this, an event that is stored later could have a
    number below the newest that is seen, and whoever goes on after that would never hear of it. Writers wait for this
    moment, and for nothing that is read afterwards.
    """
    if not tx.is_postgresql:
        return
    await tx.execute(text("SAVEPOINT still"))
    await tx.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
    await tx.execute(text("LOCK TABLE event_index IN SHARE MODE"))
    # The first question fixes what the whole transaction sees; going back to the savepoint lets go of the lock alone.
    await tx.execute(text("SELECT 1"))
    await tx.execute(text("ROLLBACK TO SAVEPOINT still"))
