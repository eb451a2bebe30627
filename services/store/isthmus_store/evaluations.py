"""What sensors of automation decided about assets: a row for each decision, and each condition's tree once."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, select

from isthmus_store.table.automation import ASSET_EVALUATIONS, CONDITION_TREES
from isthmus_store.transaction import Transaction, WriteTransaction

#: Rows that one statement writes.
_PORTION: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvaluation:
    """A decision; `body` is an AutomationDecision message without what the row says."""

    deployment: str
    #: As `fact.asset_text` writes it.
    asset: str
    #: Empty for the asset itself.
    check_name: str
    location: str
    sensor: str
    tick_id: int
    at: datetime
    #: How many partitions it asked for; 1 for an asset without any.
    requested: int
    tree_sha256: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A decision as it is stored, and the ConditionTree that it is about."""

    id: int
    location: str
    sensor: str
    tick_id: int
    at: datetime
    requested: int
    body: bytes
    tree: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationQuery:
    """Which decisions about one asset or check."""

    deployment: str
    asset: str
    check_name: str = ""
    is_requesting_only: bool = False
    #: Exclusive; 0 for none.
    before_id: int = 0
    limit: int


async def add(
    tx: WriteTransaction, evaluations: Sequence[NewEvaluation], *, trees: Sequence[tuple[str, bytes]]
) -> None:
    """Write decisions, and those of the trees, by their hashes, that are not there yet."""
    for start in range(0, len(trees), _PORTION):
        rows = [{"sha256": sha256, "body": body} for sha256, body in trees[start : start + _PORTION]]
        await tx.execute(tx.insert(CONDITION_TREES).on_conflict_do_nothing(), rows)
    for start in range(0, len(evaluations), _PORTION):
        await tx.execute(ASSET_EVALUATIONS.insert(), [asdict(it) for it in evaluations[start : start + _PORTION]])


async def page(tx: Transaction, query: EvaluationQuery) -> list[Evaluation]:
    """Return decisions, newest first."""
    table = ASSET_EVALUATIONS
    conditions = [
        table.c.deployment == query.deployment,
        table.c.asset == query.asset,
        table.c.check_name == query.check_name,
    ]
    if query.is_requesting_only:
        conditions.append(table.c.requested > 0)
    if query.before_id:
        conditions.append(table.c.id < query.before_id)
    columns = [table.c[name] for name in ("id", "location", "sensor", "tick_id", "at", "requested", "body")]
    source = table.join(CONDITION_TREES, CONDITION_TREES.c.sha256 == table.c.tree_sha256)
    statement = select(*columns, CONDITION_TREES.c.body.label("tree")).select_from(source).where(*conditions)
    return await tx.all(Evaluation, statement.order_by(table.c.id.desc()).limit(query.limit))


async def old(tx: Transaction, rows: int, *, before: datetime) -> Sequence[int]:
    """Return decisions that were made long ago, oldest first."""
    table = ASSET_EVALUATIONS
    found = await tx.execute(select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(rows))
    return found.scalars().all()


async def remove(tx: WriteTransaction, ids: Collection[int]) -> None:
    """Remove decisions."""
    await tx.execute(delete(ASSET_EVALUATIONS).where(ASSET_EVALUATIONS.c.id.in_(sorted(ids))))


async def unused_trees(tx: Transaction, rows: int) -> Sequence[str]:
    """Return trees that no decision is about."""
    return (await tx.execute(select(CONDITION_TREES.c.sha256).where(_is_unused()).limit(rows))).scalars().all()


async def remove_trees(tx: WriteTransaction, hashes: Collection[str]) -> None:
    """Remove trees, but for those that a decision has come to be about."""
    await tx.execute(delete(CONDITION_TREES).where(CONDITION_TREES.c.sha256.in_(sorted(hashes)), _is_unused()))


def _is_unused() -> ColumnElement[bool]:
    return ~exists().where(ASSET_EVALUATIONS.c.tree_sha256 == CONDITION_TREES.c.sha256)
