"""Forgets what was told of assets, and keeps who wanted that.

The index over events and the rows of state are cleared; histories of runs stay as they are. What a run that has not ended is
about to make stays planned.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from isthmus.v1.telemetry_pb2 import Event
from sqlalchemy import ColumnElement, Select, and_, delete, exists, select, text, update

from isthmus_store.fact import CHECK_PLANNED
from isthmus_store.retention.outliving import is_state
from isthmus_store.table.asset import ASSET_CHECKS, ASSET_PARTITIONS, ASSET_WIPES
from isthmus_store.table.event import EVENT_INDEX
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction

#: The kind under which the index tells, for a while, that some asset of a deployment was wiped: a wake-up for who looks at assets.
WIPED: Final = "asset_wiped"
_PLANS: Final = ("asset_planned", CHECK_PLANNED)
#: How long it is waited for writers of events to finish, milliseconds.
_LOCK_TIMEOUT_MS: Final = 3_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is to be forgotten: an asset as a whole, or some of its partitions without its checks."""

    deployment: str
    #: As `fact.asset_text` writes it.
    asset: str
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """Who wants it, and why."""

    by: str
    why: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetWipe:
    """What was forgotten."""

    id: int
    deployment: str
    asset: str
    #: A JSON list of keys; an empty one for the asset as a whole.
    partitions: str
    events: int
    wiped_by: str
    why: str
    wiped_at: datetime


async def is_known(tx: Transaction, subject: Subject) -> bool:
    """Tell whether anything is known of an asset."""
    found = await tx.execute(select(EVENT_INDEX.c.id).where(_of(subject)).limit(1))
    return found.scalar_one_or_none() is not None


async def clear_past(tx: WriteTransaction, subject: Subject, *, rows: int) -> int:
    """Forget some events that are nobody's state any more; returns how many.

    They may be very many: so each transaction is short, and the one that forgets the state has little left to do.
    """
    past = select(EVENT_INDEX.c.id).where(_of(subject), ~is_state(), ~_is_open_plan()).limit(rows)
    return (await tx.execute(delete(EVENT_INDEX).where(EVENT_INDEX.c.id.in_(past)))).rowcount


async def wipe(tx: WriteTransaction, subject: Subject, wish: Wish, *, cleared: int) -> AssetWipe:
    """Forget the rest, and keep who wanted it; `cleared` events were forgotten before."""
    if tx.is_postgresql:
        # An event that is being stored now is to come before or after this as a whole: with its row of state.
        await tx.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
        await tx.execute(text("LOCK TABLE event_index IN SHARE ROW EXCLUSIVE MODE"))
    gone = (await tx.execute(delete(EVENT_INDEX).where(_of(subject), ~_is_open_plan()))).rowcount
    await _clear_state(tx, subject)
    await _tell(tx, subject, wish)
    insertion = ASSET_WIPES.insert().values(
        deployment=subject.deployment,
        asset=subject.asset,
        partitions=json.dumps(subject.partitions),
        events=cleared + gone,
        wiped_by=wish.by,
        why=wish.why,
        wiped_at=wish.at,
    )
    return (await tx.all(AssetWipe, insertion.returning(ASSET_WIPES)))[0]


async def _clear_state(tx: WriteTransaction, subject: Subject) -> None:
    """Bring the rows of state in line with what is left of the index."""
    table = ASSET_PARTITIONS
    is_meant = and_(table.c.deployment == subject.deployment, table.c.asset == subject.asset)
    if subject.partitions:
        is_meant = and_(is_meant, table.c.partition.in_(subject.partitions))
    is_planned = exists().where(EVENT_INDEX.c.id == table.c.planned_id)
    await tx.execute(delete(table).where(is_meant, ~is_planned))
    await tx.execute(update(table).where(is_meant).values(materialized_id=0, observed_id=0, failed_id=0))
    if subject.partitions:
        return
    checks = ASSET_CHECKS
    is_meant = and_(checks.c.deployment == subject.deployment, checks.c.asset == subject.asset)
    is_planned = exists().where(EVENT_INDEX.c.id == checks.c.planned_id)
    await tx.execute(delete(checks).where(is_meant, ~is_planned))
    await tx.execute(update(checks).where(is_meant).values(evaluated_id=0))


async def _tell(tx: WriteTransaction, subject: Subject, wish: Wish) -> None:
    """Leave a word for who reads on in the index. It is about no asset, so that the asset counts as unknown."""
    row = {
        "deployment": subject.deployment,
        "kind": WIPED,
        "asset": "",
        "partition": "",
        "check_name": "",
        "outcome": "",
        "run_id": "",
        "position": 0,
        "occurred_at": wish.at,
        "job_name": "",
        "attempt": 0,
        "body": Event(message=f"{subject.asset} was wiped").SerializeToString(),
    }
    await tx.execute(EVENT_INDEX.insert(), [row])


def _of(subject: Subject) -> ColumnElement[bool]:
    table = EVENT_INDEX
    is_meant = and_(table.c.deployment == subject.deployment, table.c.asset == subject.asset)
    if not subject.partitions:
        return is_meant
    return and_(is_meant, table.c.partition.in_(subject.partitions), table.c.check_name == "")


def _is_open_plan() -> ColumnElement[bool]:
    """Tell whether a row is the plan of a run that has not ended."""
    goes_on = exists().where(RUNS.c.run_id == EVENT_INDEX.c.run_id, RUNS.c.ended_at.is_(None))
    return and_(EVENT_INDEX.c.kind.in_(_PLANS), goes_on)


@dataclass(frozen=True, kw_only=True, slots=True)
class WipeQuery:
    """Which wipes."""

    deployment: str
    #: As `fact.asset_text` writes it; empty for any.
    asset: str = ""
    #: Exclusive; 0 for none.
    before_id: int = 0
    limit: int


async def page(tx: Transaction, query: WipeQuery) -> list[AssetWipe]:
    """Return who wiped what, newest first."""
    table = ASSET_WIPES
    statement: Select[tuple[object, ...]] = select(table).where(table.c.deployment == query.deployment)
    if query.asset:
        statement = statement.where(table.c.asset == query.asset)
    if query.before_id:
        statement = statement.where(table.c.id < query.before_id)
    return await tx.all(AssetWipe, statement.order_by(table.c.id.desc()).limit(query.limit))


async def old(tx: Transaction, rows: int, *, before: datetime) -> Sequence[int]:
    """Return wipes of long ago, oldest first."""
    table = ASSET_WIPES
    found = await tx.execute(select(table.c.id).where(table.c.wiped_at < before).order_by(table.c.wiped_at).limit(rows))
    return found.scalars().all()


async def remove(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Remove what is kept of wipes."""
    await tx.execute(delete(ASSET_WIPES).where(ASSET_WIPES.c.id.in_(sorted(ids))))
