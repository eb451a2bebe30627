"""How fresh assets are, as it was told last: a row for each, and an event in the index for each change."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from isthmus.v1.telemetry_pb2 import Event
from sqlalchemy import and_, select

from isthmus_store.table.asset import ASSET_FRESHNESS
from isthmus_store.table.event import EVENT_INDEX
from isthmus_store.transaction import Transaction, WriteTransaction

#: The kind under which the index tells that an asset's freshness changed.
FRESHNESS_CHANGED: Final = "freshness_changed"
#: Assets that are looked up, or written, at once.
_PORTION: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class FreshnessRow:
    """How fresh an asset is, and since when."""

    deployment: str
    #: As `fact.asset_text` writes it.
    asset: str
    state: str
    changed_at: datetime


async def all_of(tx: Transaction) -> list[FreshnessRow]:
    """Return every row of every deployment."""
    return await tx.all(FreshnessRow, select(ASSET_FRESHNESS))


async def some(tx: Transaction, *, deployment: str, assets: Collection[str]) -> dict[str, FreshnessRow]:
    """Return the rows of these assets, where there are some."""
    table, found = ASSET_FRESHNESS, dict[str, FreshnessRow]()
    names = sorted(assets)
    for start in range(0, len(names), _PORTION):
        chosen = and_(table.c.deployment == deployment, table.c.asset.in_(names[start : start + _PORTION]))
        found |= {it.asset: it for it in await tx.all(FreshnessRow, select(table).where(chosen))}
    return found


async def change(tx: WriteTransaction, rows: Sequence[FreshnessRow]) -> None:
    """Keep how fresh assets are from now on, and tell who reads on in the index."""
    for start in range(0, len(rows), _PORTION):
        part = rows[start : start + _PORTION]
        insertion = tx.insert(ASSET_FRESHNESS)
        kept = {name: insertion.excluded[name] for name in ("state", "changed_at")}
        upsert = insertion.on_conflict_do_update(index_elements=["deployment", "asset"], set_=kept)
        await tx.execute(upsert, [asdict(it) for it in part])
        await tx.execute(EVENT_INDEX.insert(), [_event(it) for it in part])


async def forget(tx: WriteTransaction, rows: Iterable[FreshnessRow]) -> None:
    """Remove rows of assets that have no policy any more."""
    await tx.delete_rows(ASSET_FRESHNESS, [(it.deployment, it.asset) for it in rows])


def _event(it: FreshnessRow) -> dict[str, object]:
    event = Event(message=f"freshness: {it.state}")
    event.occurred_at.FromDatetime(it.changed_at)
    return {
        "deployment": it.deployment,
        "kind": FRESHNESS_CHANGED,
        "asset": it.asset,
        "partition": "",
        "check_name": "",
        "outcome": "",
        "run_id": "",
        "position": 0,
        "occurred_at": it.changed_at,
        "job_name": "",
        "attempt": 0,
        "body": event.SerializeToString(),
    }
