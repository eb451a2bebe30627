"""What is known of assets, partition by partition and check by check: rows that are kept while events are indexed.

A row holds the ids of the newest events about its subject. A larger id is the later event, so that what came last is told by
comparing numbers, and a page about thousands of partitions reads no event.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, literal_column, or_, select

from isthmus_store.state import RunState
from isthmus_store.table.asset import ASSET_CHECKS, ASSET_PARTITIONS
from isthmus_store.table.event import EVENT_INDEX, EVENTS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction

#: Ids that are looked up at once.
_PORTION: Final = 1000
_TERMINAL: Final = tuple(state for state in RunState if state.is_terminal)
_BROKEN: Final = (RunState.FAILED, RunState.CANCELED)


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetSummary:
    """An asset over all its partitions. Ids are those of the newest events in the index; 0 for none."""

    asset: str
    materialized_id: int
    observed_id: int
    failed_id: int
    #: Keys of partitions that were materialized, and did not fail since.
    materialized: int
    #: Partitions, or the asset as a whole, of which the last attempt failed.
    failed: int
    #: Partitions, or the asset as a whole, that a run is about to make.
    in_progress: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionState:
    """One partition."""

    partition: str
    materialized_id: int
    is_failed: bool
    is_in_progress: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckState:
    """One check of an asset."""

    asset: str
    check_name: str
    evaluated_id: int
    planned_id: int
    #: Of the run that planned it, when no evaluation came since; None once that run is gone.
    run_state: RunState | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventPlace:
    """Where an indexed event belongs."""

    id: int
    #: Empty for one that belongs to no run.
    run_id: str
    position: int
    occurred_at: datetime
    outcome: str


async def summaries(tx: Transaction, *, deployment: str, assets: Collection[str]) -> dict[str, AssetSummary]:
    """Return what is known of these assets; those of which nothing was told are missing."""
    table = ASSET_PARTITIONS
    found: dict[str, AssetSummary] = {}
    names = sorted(assets)
    for start in range(0, len(names), _PORTION):
        chosen = and_(table.c.deployment == deployment, table.c.asset.in_(names[start : start + _PORTION]))
        statement = (
            select(
                table.c.asset,
                func.max(table.c.materialized_id).label("materialized_id"),
                func.max(table.c.observed_id).label("observed_id"),
                func.max(table.c.failed_id).label("failed_id"),
                _count(and_(table.c.partition > "", table.c.materialized_id > 0, ~_is_failed())).label("materialized"),
                _count(_is_failed()).label("failed"),
                _count(_is_in_progress()).label("in_progress"),
            )
            .select_from(_WITH_PLAN)
            .where(chosen)
            .group_by(table.c.asset)
        )
        found |= {it.asset: it for it in await tx.all(AssetSummary, statement)}
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionsOf:
    """Which partitions of an asset."""

    deployment: str
    asset: str
    #: Of which the last attempt failed.
    is_failed_only: bool = False
    #: Exclusive.
    after: str = ""
    limit: int


async def partitions(tx: Transaction, query: PartitionsOf) -> list[PartitionState]:
    """Return partitions of which anything was told, by their keys."""
    table = ASSET_PARTITIONS
    of_asset = and_(table.c.deployment == query.deployment, table.c.asset == query.asset)
    statement = (
        select(
            table.c.partition,
            table.c.materialized_id,
            _is_failed().label("is_failed"),
            _is_in_progress().label("is_in_progress"),
        )
        .select_from(_WITH_PLAN)
        .where(of_asset, table.c.partition > query.after)
        .order_by(table.c.partition)
        .limit(query.limit)
    )
    if query.is_failed_only:
        statement = statement.where(_is_failed())
    rows = (await tx.execute(statement)).all()
    return [
        PartitionState(
            partition=it.partition,
            materialized_id=it.materialized_id,
            is_failed=bool(it.is_failed),
            is_in_progress=bool(it.is_in_progress),
        )
        for it in rows
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewestAt:
    """The newest events that tell of the data of an asset or a partition; 0 for none."""

    asset: str
    partition: str
    materialized_id: int
    observed_id: int


async def newest_at(
    tx: Transaction, *, deployment: str, places: Collection[tuple[str, str]]
) -> dict[tuple[str, str], NewestAt]:
    """Return the rows of assets and partitions; an empty partition stands for the asset, whatever its events say of partitions."""
    table, found = ASSET_PARTITIONS, dict[tuple[str, str], NewestAt]()
    ids = (table.c.materialized_id, table.c.observed_id)
    whole = sorted(asset for asset, partition in places if not partition)
    for start in range(0, len(whole), _PORTION):
        chosen = and_(table.c.deployment == deployment, table.c.asset.in_(whole[start : start + _PORTION]))
        newest = [func.max(column).label(column.name) for column in ids]
        statement = select(table.c.asset, literal_column("''").label("partition"), *newest).where(chosen)
        found |= {(it.asset, ""): it for it in await tx.all(NewestAt, statement.group_by(table.c.asset))}
    by_asset: dict[str, list[str]] = {}
    for asset, partition in sorted(place for place in places if place[1]):
        by_asset.setdefault(asset, []).append(partition)
    for asset, partitions in by_asset.items():
        for start in range(0, len(partitions), _PORTION):
            chosen = and_(
                table.c.deployment == deployment,
                table.c.asset == asset,
                table.c.partition.in_(partitions[start : start + _PORTION]),
            )
            rows = await tx.all(NewestAt, select(table.c.asset, table.c.partition, *ids).where(chosen))
            found |= {(it.asset, it.partition): it for it in rows}
    return found


async def checks(tx: Transaction, *, deployment: str, assets: Collection[str]) -> list[CheckState]:
    """Return the checks of these assets that were ever planned or evaluated."""
    table = ASSET_CHECKS
    planned = and_(EVENT_INDEX.c.id == table.c.planned_id, table.c.planned_id > table.c.evaluated_id)
    source = table.outerjoin(EVENT_INDEX, planned).outerjoin(RUNS, RUNS.c.run_id == EVENT_INDEX.c.run_id)
    found: list[CheckState] = []
    names = sorted(assets)
    for start in range(0, len(names), _PORTION):
        statement = (
            select(
                table.c.asset,
                table.c.check_name,
                table.c.evaluated_id,
                table.c.planned_id,
                RUNS.c.state.label("run_state"),
            )
            .select_from(source)
            .where(table.c.deployment == deployment, table.c.asset.in_(names[start : start + _PORTION]))
        )
        found += await tx.all(CheckState, statement)
    return found


async def places(tx: Transaction, ids: Collection[int]) -> Mapping[int, EventPlace]:
    """Return where events of the index belong; those that are gone are missing."""
    found: dict[int, EventPlace] = {}
    wanted = sorted(set(ids) - {0})
    for start in range(0, len(wanted), _PORTION):
        chosen = EVENT_INDEX.c.id.in_(wanted[start : start + _PORTION])
        found |= {it.id: it for it in await tx.all(EventPlace, _places().where(chosen))}
    return found


async def bodies(tx: Transaction, ids: Collection[int]) -> Mapping[int, bytes]:
    """Return Event messages of the index, also of those whose runs are gone."""
    body = func.coalesce(EVENTS.c.body, EVENT_INDEX.c.body)
    there = and_(EVENTS.c.run_id == EVENT_INDEX.c.run_id, EVENTS.c.position == EVENT_INDEX.c.position)
    source = EVENT_INDEX.outerjoin(EVENTS, there)
    found: dict[int, bytes] = {}
    wanted = sorted(set(ids) - {0})
    for start in range(0, len(wanted), _PORTION):
        chosen = EVENT_INDEX.c.id.in_(wanted[start : start + _PORTION])
        rows = await tx.execute(select(EVENT_INDEX.c.id, body.label("body")).select_from(source).where(chosen))
        found |= {row.id: row.body for row in rows if row.body is not None}
    return found


def _places() -> Select[tuple[Any, ...]]:
    columns: Sequence[str] = ("id", "run_id", "position", "occurred_at", "outcome")
    return select(*(EVENT_INDEX.c[name] for name in columns))


#: A plan counts until something came of it.
_HAS_PLAN: Final = and_(
    ASSET_PARTITIONS.c.planned_id > ASSET_PARTITIONS.c.materialized_id,
    ASSET_PARTITIONS.c.planned_id > ASSET_PARTITIONS.c.failed_id,
)
_WITH_PLAN: Final = ASSET_PARTITIONS.outerjoin(
    EVENT_INDEX, and_(_HAS_PLAN, EVENT_INDEX.c.id == ASSET_PARTITIONS.c.planned_id)
).outerjoin(RUNS, RUNS.c.run_id == EVENT_INDEX.c.run_id)


def _is_failed() -> ColumnElement[bool]:
    """Tell whether the last attempt failed: it said so, or its run ended otherwise than well."""
    table = ASSET_PARTITIONS
    has_failed = and_(table.c.failed_id > table.c.materialized_id, ~_is_in_progress())
    return or_(has_failed, func.coalesce(RUNS.c.state.in_(_BROKEN), literal_column("FALSE")))


def _is_in_progress() -> ColumnElement[bool]:
    return func.coalesce(RUNS.c.state.not_in(_TERMINAL), literal_column("FALSE"))


def _count(is_meant: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((is_meant, 1), else_=0))
