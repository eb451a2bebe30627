"""What is removed is found by its key: nobody else writes meanwhile, and a table may hold a year."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from isthmus_store import alert_book, backfills, slot_claims
from isthmus_store.backfills import RunKey
from isthmus_store.database import Database
from isthmus_store.retention import others
from isthmus_store.retention.others import GenerationKey, PieceKey
from isthmus_store.table.alert import ALERT_FACTS
from isthmus_store.transaction import WriteTransaction
from sqlalchemy import func, select
from support.query_plans import whole_reads

Remove = Callable[[WriteTransaction, datetime], Awaitable[None]]

REMOVALS: dict[str, tuple[str, Remove]] = {
    "claims": ("runs", lambda tx, _: slot_claims.sweep(tx)),
    "facts": ("alert_facts", lambda tx, _: alert_book.remove_facts(tx, [("d", "p", "1"), ("d", "p", "2")])),
    "generations": (
        "location_generations",
        lambda tx, _: others.remove_generations(tx, [GenerationKey("d", "sales", number) for number in (1, 2)]),
    ),
    "pieces": (
        "snapshot_pieces",
        lambda tx, at: others.remove_pieces(tx, [PieceKey("d", "a", "h", n) for n in (1, 2)], stored_before=at),
    ),
    "runs of backfills": ("backfill_runs", lambda tx, _: backfills.remove_runs(tx, [RunKey(1, 1), RunKey(1, 2)])),
    "instructions": ("instructions", lambda tx, _: others.remove_instructions(tx, [1, 2])),
    "dead letters": ("dead_letters", lambda tx, _: others.remove_dead_letters(tx, [1, 2])),
}


@pytest.mark.parametrize("what", REMOVALS)
async def test_no_removal_reads_a_table_to_its_end(database: Database, now: datetime, what: str) -> None:
    table, remove = REMOVALS[what]
    with whole_reads() as found:
        async with database.write() as tx:
            await remove(tx, now)
    assert [statement for name, statement in found if name == table] == []


async def test_rows_are_deleted_by_key_and_no_others(database: Database, now: datetime) -> None:
    facts = [("d", "p", "1"), ("d", "p", "2"), ("e", "p", "1")]
    async with database.write() as tx:
        for deployment, policy, fact in facts:
            values = {"deployment": deployment, "policy": policy, "fact": fact, "at": now}
            await tx.execute(tx.insert(ALERT_FACTS).values(values))
        await alert_book.remove_facts(tx, [])
        await alert_book.remove_facts(tx, [facts[0], facts[2], ("d", "q", "1")])
        assert (await tx.execute(select(ALERT_FACTS.c.fact))).scalars().all() == ["2"]
        await tx.delete_rows(ALERT_FACTS, [facts[1]], ALERT_FACTS.c.at < now)
        assert (await tx.execute(select(func.count()).select_from(ALERT_FACTS))).scalar_one() == 1
