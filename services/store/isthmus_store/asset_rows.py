"""Keeps the rows of assets' partitions and checks while events are indexed."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import and_, case, func, select

from isthmus_store.fact import CHECK_EVALUATED, CHECK_PLANNED
from isthmus_store.record.event import Fact
from isthmus_store.table.asset import ASSET_CHECKS, ASSET_PARTITIONS
from isthmus_store.table.event import EVENT_INDEX
from isthmus_store.transaction import WriteTransaction

#: The rows of state: their table, what they are about besides the asset, which facts, and of which kind each column is.
_STATES: Final = (
    (
        ASSET_PARTITIONS,
        "partition",
        and_(EVENT_INDEX.c.asset > "", EVENT_INDEX.c.check_name == ""),
        {
            "materialized_id": "asset_materialized",
            "observed_id": "asset_observed",
            "planned_id": "asset_planned",
            "failed_id": "asset_failed",
        },
    ),
    (
        ASSET_CHECKS,
        "check_name",
        and_(EVENT_INDEX.c.asset > "", EVENT_INDEX.c.check_name > ""),
        {"evaluated_id": CHECK_EVALUATED, "planned_id": CHECK_PLANNED},
    ),
)


async def keep(tx: WriteTransaction, facts: Collection[Fact], *, after_id: int, run_ids: Collection[str]) -> None:
    """Take what was indexed since an id into the rows of its assets, partitions and checks.

    Others may have committed rows behind that id meanwhile; of theirs, only those of the same runs are seen, and taking
    them in again changes nothing. In one order, so that two writers wait for each other and never both.
    """
    chosen = and_(EVENT_INDEX.c.id > after_id, EVENT_INDEX.c.run_id.in_(sorted(run_ids)))
    has_checks = {bool(fact.check_name) for fact in facts}
    for table, about, is_about, kinds in _STATES:
        if (table is ASSET_CHECKS) not in has_checks:
            continue
        subject = (EVENT_INDEX.c.deployment, EVENT_INDEX.c.asset, EVENT_INDEX.c[about])
        newest_of = [
            func.max(case((EVENT_INDEX.c.kind == kind, EVENT_INDEX.c.id), else_=0)).label(name)
            for name, kind in kinds.items()
        ]
        found = (
            select(*subject, *newest_of)
            .where(chosen, is_about, EVENT_INDEX.c.kind.in_(kinds.values()))
            .group_by(*subject)
            .order_by(*subject)
        )
        insert = tx.insert(table).from_select(["deployment", "asset", about, *kinds], found)
        greatest = func.greatest if tx.is_postgresql else func.max
        kept = {name: greatest(table.c[name], insert.excluded[name]) for name in kinds}
        await tx.execute(insert.on_conflict_do_update(index_elements=["deployment", "asset", about], set_=kept))
