"""The index over events: written with them, and asked about assets, partitions and the states of runs.

Its newest row of each asset, kind, partition and check is the state of that asset. It outlives its run: what removes the
run (`retention.runs`) leaves this row, and copies into it what it needs of the event.

Everything is found by an index. The newest of each asset or partition is looked up one by one, from each to the next,
so that the cost is that of the answer and not that of the history.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from isthmus.v1.telemetry_pb2 import Event
from sqlalchemy import ColumnElement, Select, and_, func, select, text

from isthmus_store import asset_rows
from isthmus_store.column import to_microseconds
from isthmus_store.fact import fact_of
from isthmus_store.record.event import Fact, NewEvent
from isthmus_store.table.event import EVENT_INDEX, EVENTS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction

#: Run, position, event, and what is indexed of it.
Indexed = tuple[str, int, NewEvent, Fact]

#: As many events as one statement brings.
_PORTION: Final = 1000

#: The index with the events and runs that it is about. Rows that outlived theirs bring what is needed of both.
WITH_EVENTS: Final = EVENT_INDEX.outerjoin(
    EVENTS, and_(EVENTS.c.run_id == EVENT_INDEX.c.run_id, EVENTS.c.position == EVENT_INDEX.c.position)
).outerjoin(RUNS, RUNS.c.run_id == EVENT_INDEX.c.run_id)
JOB_NAME: Final = func.coalesce(RUNS.c.job_name, EVENT_INDEX.c.job_name)
ATTEMPT: Final = func.coalesce(EVENTS.c.attempt, EVENT_INDEX.c.attempt)
BODY: Final = func.coalesce(EVENTS.c.body, EVENT_INDEX.c.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedEvent:
    """An indexed event; `body` is the whole Event message."""

    #: Larger than those of all events that were stored before.
    id: int
    kind: str
    job_name: str
    run_id: str
    attempt: int
    position: int
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class EventQuery:
    """Which events; what is left empty does not restrict."""

    deployment: str
    kinds: frozenset[str]
    #: As `fact.asset_text` writes it; None for any.
    asset: str | None = None
    partitions: frozenset[str] = frozenset()
    #: Exclusive; 0 for none.
    after_id: int = 0
    #: Exclusive; 0 for none.
    before_id: int = 0
    #: Exclusive.
    occurred_after: datetime | None = None
    #: Exclusive.
    occurred_before: datetime | None = None
    ids: frozenset[int] = frozenset()
    job_names: frozenset[str] = frozenset()
    limit: int
    is_ascending: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionQuery:
    """The newest event of a kind about each of these partitions; without any, about each partition that there is."""

    deployment: str
    kind: str
    asset: str
    partitions: frozenset[str] = frozenset()
    #: Exclusive; 0 for none.
    after_id: int = 0
    #: Exclusive; 0 for none.
    before_id: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class NewestOfPartition:
    """The newest event about a partition."""

    partition: str
    id: int
    run_id: str
    position: int


async def add(tx: WriteTransaction, events: Sequence[Indexed]) -> None:
    """Index events of runs that exist, in their order."""
    if not events:
        return
    rows = [row_of(*it) for it in events]
    about_assets = [(run_id, fact) for run_id, _, _, fact in events if fact.asset]
    before_id = await newest_id(tx) if about_assets else 0
    # Below SQLAlchemy's compiler, as the events themselves.
    if tx.is_postgresql:
        columns = tuple(list(values) for values in zip(*rows, strict=True))
        await tx.connection.exec_driver_sql(_POSTGRESQL_INSERT, columns)
    else:
        await tx.connection.exec_driver_sql(_SQLITE_INSERT, rows)
    if about_assets:
        run_ids, facts = {run_id for run_id, _ in about_assets}, [fact for _, fact in about_assets]
        await asset_rows.keep(tx, facts, after_id=before_id, run_ids=run_ids)


async def add_runless(tx: WriteTransaction, event: Event, *, deployment: str, at: datetime) -> int | None:
    """Index an event of an asset that belongs to no run, and keep it with the index.

    Returns:
        The event's id; None for names that no index takes.
    """
    fact = fact_of(event)
    if fact is None:
        return None
    row = {
        "deployment": deployment,
        "kind": event.WhichOneof("body"),
        "asset": fact.asset,
        "partition": fact.partition,
        "check_name": fact.check_name,
        "outcome": fact.outcome,
        "run_id": "",
        "position": 0,
        "occurred_at": at,
        "job_name": "",
        "attempt": 0,
        "body": event.SerializeToString(),
    }
    before_id = await newest_id(tx)
    number: int = (await tx.execute(EVENT_INDEX.insert().values(row).returning(EVENT_INDEX.c.id))).scalar_one()
    await asset_rows.keep(tx, [fact], after_id=before_id, run_ids={""})
    return number


async def find(tx: Transaction, query: EventQuery) -> list[IndexedEvent]:
    """Return the newest events that the query asks for, newest first, or the oldest, oldest first."""
    order = EVENT_INDEX.c.id.asc() if query.is_ascending else EVENT_INDEX.c.id.desc()
    statement = _whole().where(*_conditions(query)).order_by(order).limit(query.limit)
    return await tx.all(IndexedEvent, statement)


async def newest(
    tx: Transaction, *, deployment: str, assets: Collection[str], kinds: Collection[str]
) -> list[IndexedEvent]:
    """Return the newest event of each kind about each asset, where there is one."""
    ids = await _newest_ids(tx, deployment=deployment, assets=sorted(assets), kinds=sorted(kinds))
    found: list[IndexedEvent] = []
    for start in range(0, len(ids), _PORTION):
        found += await tx.all(IndexedEvent, _whole().where(EVENT_INDEX.c.id.in_(ids[start : start + _PORTION])))
    return found


async def _newest_ids(tx: Transaction, *, deployment: str, assets: Sequence[str], kinds: Sequence[str]) -> list[int]:
    # One text whatever is asked for: building a statement of so many parts takes longer than answering it.
    if tx.is_postgresql:
        rows = await tx.execute(_POSTGRESQL_NEWEST, {"deployment": deployment, "assets": assets, "kinds": kinds})
    else:
        as_json = {"assets": json.dumps(assets), "kinds": json.dumps(kinds)}
        rows = await tx.execute(_SQLITE_NEWEST, {"deployment": deployment, **as_json})
    return [row.id for row in rows if row.id is not None]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewestOfAsset:
    """The newest event of a kind about an asset, whatever its partition."""

    asset: str
    id: int
    occurred_at: datetime


async def newest_places(
    tx: Transaction, *, deployment: str, assets: Collection[str], kind: str
) -> dict[str, NewestOfAsset]:
    """Return when each asset was last told of by an event of a kind; without events, however many assets there are."""
    ids = await _newest_ids(tx, deployment=deployment, assets=sorted(assets), kinds=[kind])
    table, found = EVENT_INDEX, dict[str, NewestOfAsset]()
    for start in range(0, len(ids), _PORTION):
        chosen = table.c.id.in_(ids[start : start + _PORTION])
        statement = select(table.c.asset, table.c.id, table.c.occurred_at).where(chosen)
        found |= {it.asset: it for it in await tx.all(NewestOfAsset, statement)}
    return found


async def assets(tx: Transaction, *, deployment: str) -> list[str]:
    """Return every asset of which anything was told, in the order of their texts."""
    table = EVENT_INDEX
    # What is about runs alone has an empty text, which is the least.
    first = select(func.min(table.c.asset).label("asset")).where(table.c.deployment == deployment, table.c.asset > "")
    seen = first.cte("seen", recursive=True)
    following = (
        select(func.min(table.c.asset))
        .where(table.c.deployment == deployment, table.c.asset > seen.c.asset)
        .scalar_subquery()
    )
    seen = seen.union_all(select(following).where(seen.c.asset.is_not(None)))
    return [row.asset for row in await tx.execute(select(seen.c.asset).where(seen.c.asset.is_not(None)))]


async def newest_of_partitions(tx: Transaction, query: PartitionQuery) -> list[NewestOfPartition]:
    """Return the newest event about each partition that the query asks for; what has no partition is left out."""
    table = EVENT_INDEX
    about = and_(table.c.deployment == query.deployment, table.c.asset == query.asset, table.c.kind == query.kind)
    first = select(func.min(table.c.partition).label("partition")).where(about, table.c.partition > "")
    seen = first.cte("seen", recursive=True)
    following = select(func.min(table.c.partition)).where(about, table.c.partition > seen.c.partition)
    seen = seen.union_all(select(following.scalar_subquery()).where(seen.c.partition.is_not(None)))
    newest_id = select(func.max(table.c.id)).where(about, table.c.partition == seen.c.partition)
    if query.before_id:
        newest_id = newest_id.where(table.c.id < query.before_id)
    chosen = select(newest_id.scalar_subquery().label("id")).where(seen.c.partition.is_not(None))
    if query.partitions:
        chosen = chosen.where(seen.c.partition.in_(sorted(query.partitions)))
    statement = (
        select(table.c.partition, table.c.id, table.c.run_id, table.c.position)
        .where(table.c.id.in_(chosen), table.c.id > query.after_id)
        .order_by(table.c.partition)
    )
    return await tx.all(NewestOfPartition, statement)


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What an event is about, without the event."""

    id: int
    deployment: str
    kind: str
    asset: str


async def newest_id(tx: Transaction) -> int:
    """Return the id of the newest event of all; 0 when there is none."""
    return (await tx.execute(select(func.max(EVENT_INDEX.c.id)))).scalar_one() or 0


async def news(tx: Transaction, *, after_id: int, limit: int) -> list[News]:
    """Return what came after an event, oldest first."""
    table = EVENT_INDEX
    statement = select(table.c.id, table.c.deployment, table.c.kind, table.c.asset).where(table.c.id > after_id)
    return await tx.all(News, statement.order_by(table.c.id).limit(limit))


async def news_at(tx: Transaction, ids: Collection[int]) -> list[News]:
    """Return those of the events that are there."""
    table = EVENT_INDEX
    statement = select(table.c.id, table.c.deployment, table.c.kind, table.c.asset).where(table.c.id.in_(sorted(ids)))
    return await tx.all(News, statement.order_by(table.c.id))


async def has_news(tx: Transaction, *, deployment: str, kind: str, asset: str, after_id: int) -> bool:
    """Tell whether anything of a kind about an asset, or about runs when that is empty, came after an event."""
    table = EVENT_INDEX
    about = (table.c.deployment == deployment, table.c.asset == asset, table.c.kind == kind)
    found = await tx.execute(select(table.c.id).where(*about, table.c.id > after_id).limit(1))
    return found.scalar_one_or_none() is not None


def _whole() -> Select[tuple[Any, ...]]:
    return select(
        EVENT_INDEX.c.id,
        EVENT_INDEX.c.kind,
        JOB_NAME.label("job_name"),
        EVENT_INDEX.c.run_id,
        ATTEMPT.label("attempt"),
        EVENT_INDEX.c.position,
        BODY.label("body"),
    ).select_from(WITH_EVENTS)


def _conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    table = EVENT_INDEX
    conditions = [table.c.deployment == query.deployment, table.c.kind.in_(sorted(query.kinds))]
    if query.asset is not None:
        conditions.append(table.c.asset == query.asset)
    if query.partitions:
        conditions.append(table.c.partition.in_(sorted(query.partitions)))
    if query.after_id:
        conditions.append(table.c.id > query.after_id)
    if query.before_id:
        conditions.append(table.c.id < query.before_id)
    if query.occurred_after is not None:
        conditions.append(table.c.occurred_at > query.occurred_after)
    if query.occurred_before is not None:
        conditions.append(table.c.occurred_at < query.occurred_before)
    if query.ids:
        conditions.append(table.c.id.in_(sorted(query.ids)))
    if query.job_names:
        conditions.append(JOB_NAME.in_(sorted(query.job_names)))
    return conditions


def row_of(run_id: str, position: int, event: NewEvent, fact: Fact) -> tuple[str, str, str, str, str, int, int, str]:
    """Return an indexed event's columns, as `add` writes them."""
    return (
        event.kind,
        fact.asset,
        fact.partition,
        fact.check_name,
        fact.outcome,
        position,
        to_microseconds(event.occurred_at),
        run_id,
    )


_NEWEST = """
SELECT (
  SELECT max(it.id) FROM event_index AS it
  WHERE it.deployment = :deployment AND it.asset = wanted.value AND it.kind = of_kind.value
) AS id
FROM {assets} CROSS JOIN {kinds}
"""
_SQLITE_NEWEST = text(_NEWEST.format(assets="json_each(:assets) AS wanted", kinds="json_each(:kinds) AS of_kind"))
_POSTGRESQL_NEWEST = text(
    _NEWEST.format(
        assets="unnest(CAST(:assets AS text[])) AS wanted (value)",
        kinds="unnest(CAST(:kinds AS text[])) AS of_kind (value)",
    )
)
# The deployment is the run's.
_SQLITE_INSERT = """
INSERT INTO event_index (deployment, kind, asset, partition, check_name, outcome, position, occurred_at, run_id)
SELECT deployment, ?, ?, ?, ?, ?, ?, ?, run_id FROM runs WHERE run_id = ?
"""
_POSTGRESQL_INSERT = """
INSERT INTO event_index (deployment, kind, asset, partition, check_name, outcome, position, occurred_at, run_id)
SELECT runs.deployment, it.kind, it.asset, it.partition, it.check_name, it.outcome, it.position, it.occurred_at, it.run_id
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[])
  WITH ORDINALITY AS it (kind, asset, partition, check_name, outcome, position, occurred_at, run_id, place)
JOIN runs ON runs.run_id = it.run_id
ORDER BY it.place
"""
