"""What is known of many assets at one moment, read for who decides what is to be executed: rows, and no events."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select

from isthmus_store.state import RunState
from isthmus_store.table.asset import ASSET_CHECKS, ASSET_PARTITIONS
from isthmus_store.table.event import EVENT_INDEX
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction

#: Assets, checks and runs that are looked up at once.
_PORTION: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class PartitionRow:
    """One partition of an asset, or the asset as a whole. Ids are those of the newest events; 0 for none."""

    asset: str
    partition: str
    materialized_id: int
    observed_id: int
    planned_id: int
    #: Of the run that planned it: None once that is gone, or where nothing depends on it any more.
    plan_run_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnfinishedRun:
    """A run that has not ended, and the event that tells of its request; `request` is a RunRequest message."""

    run_id: str
    location: str
    job_name: str
    request: bytes
    queued_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRow:
    """The newest events about a check; 0 for none."""

    asset: str
    check_name: str
    evaluated_id: int
    planned_id: int


async def partitions(
    tx: Transaction, *, deployment: str, assets: Collection[str], is_any_plan: bool
) -> list[PartitionRow]:
    """Return the rows of assets, in the order of assets and partitions.

    Args:
        tx: The transaction.
        deployment: The assets' deployment.
        assets: As `fact.asset_text` writes them.
        is_any_plan: Whether plans count that something came of, when their run failed.
    """
    table, found = ASSET_PARTITIONS, []
    has_plan = _has_plan(is_any=is_any_plan)
    source = table.outerjoin(EVENT_INDEX, and_(has_plan, EVENT_INDEX.c.id == table.c.planned_id)).outerjoin(
        RUNS, and_(RUNS.c.run_id == EVENT_INDEX.c.run_id, _counts())
    )
    columns = [table.c[name] for name in ("asset", "partition", "materialized_id", "observed_id", "planned_id")]
    names = sorted(assets)
    for start in range(0, len(names), _PORTION):
        chosen = and_(table.c.deployment == deployment, table.c.asset.in_(names[start : start + _PORTION]))
        statement = select(*columns, RUNS.c.run_id.label("plan_run_id")).select_from(source).where(chosen)
        found += await tx.all(PartitionRow, statement.order_by(table.c.asset, table.c.partition))
    return found


async def counts(tx: Transaction, *, deployment: str, assets: Collection[str]) -> dict[str, int]:
    """Return how many rows each asset has."""
    table, found = ASSET_PARTITIONS, dict[str, int]()
    names = sorted(assets)
    for start in range(0, len(names), _PORTION):
        chosen = and_(table.c.deployment == deployment, table.c.asset.in_(names[start : start + _PORTION]))
        statement = select(table.c.asset, func.count().label("rows")).where(chosen).group_by(table.c.asset)
        found |= {row.asset: row.rows for row in await tx.execute(statement)}
    return found


async def newest_of(tx: Transaction, *, deployment: str, assets: Collection[str]) -> list[PartitionRow]:
    """Return one row for each asset: the newest of all its partitions, without a plan."""
    table, found = ASSET_PARTITIONS, []
    names = sorted(assets)
    for start in range(0, len(names), _PORTION):
        chosen = and_(table.c.deployment == deployment, table.c.asset.in_(names[start : start + _PORTION]))
        statement = select(
            table.c.asset,
            literal_column("''").label("partition"),
            *(func.max(table.c[name]).label(name) for name in ("materialized_id", "observed_id", "planned_id")),
            literal_column("NULL").label("plan_run_id"),
        )
        found += await tx.all(PartitionRow, statement.where(chosen).group_by(table.c.asset))
    return found


async def unfinished(tx: Transaction, *, deployment: str, limit: int) -> Sequence[UnfinishedRun]:
    """Return runs that have not ended, newest first."""
    queued = (
        select(func.max(EVENT_INDEX.c.id))
        .where(EVENT_INDEX.c.run_id == RUNS.c.run_id, EVENT_INDEX.c.kind == "run_queued")
        .scalar_subquery()
    )
    statement = (
        select(
            RUNS.c.run_id, RUNS.c.location, RUNS.c.job_name, RUNS.c.request, func.coalesce(queued, 0).label("queued_id")
        )
        .where(RUNS.c.ended_at.is_(None), RUNS.c.deployment == deployment)
        .order_by(RUNS.c.queued_at.desc())
        .limit(limit)
    )
    return await tx.all(UnfinishedRun, statement)


async def checks(tx: Transaction, *, deployment: str, assets: Collection[str]) -> list[CheckRow]:
    """Return the rows of all checks of these assets."""
    table, found = ASSET_CHECKS, []
    names = sorted(assets)
    columns = [table.c[name] for name in ("asset", "check_name", "evaluated_id", "planned_id")]
    for start in range(0, len(names), _PORTION):
        chosen = and_(table.c.deployment == deployment, table.c.asset.in_(names[start : start + _PORTION]))
        found += await tx.all(CheckRow, select(*columns).where(chosen))
    return found


def _has_plan(*, is_any: bool) -> Any:
    table = ASSET_PARTITIONS
    return table.c.planned_id > 0 if is_any else table.c.planned_id > table.c.materialized_id


def _counts() -> ColumnElement[bool]:
    """Tell whether a plan counts yet: nothing was made since, or its run failed all the same."""
    table = ASSET_PARTITIONS
    return or_(table.c.planned_id > table.c.materialized_id, RUNS.c.state == RunState.FAILED)
