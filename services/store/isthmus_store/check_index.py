"""Executions of asset checks, read from the index over events: an evaluation, or a plan that was not carried out yet."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, or_, select

from isthmus_store.event_index import ATTEMPT, BODY, JOB_NAME, WITH_EVENTS
from isthmus_store.fact import CHECK_EVALUATED, CHECK_PLANNED
from isthmus_store.table.event import EVENT_INDEX
from isthmus_store.transaction import Transaction


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckQuery:
    """Which executions of one check; what is left empty does not restrict."""

    deployment: str
    #: As `fact.asset_text` writes it.
    asset: str
    check_name: str
    #: Of PLANNED, SUCCEEDED and FAILED.
    outcomes: frozenset[str] = frozenset()
    #: Empty for executions without a partition, None for all.
    partition: str | None = None
    #: Exclusive; 0 for none.
    before_id: int = 0
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckExecution:
    """One execution; `body` is the Event message of the evaluation, or of the plan."""

    id: int
    outcome: str
    job_name: str
    run_id: str
    attempt: int
    body: bytes


async def executions(tx: Transaction, query: CheckQuery) -> list[CheckExecution]:
    """Return the executions that the query asks for, newest first. A plan counts until it has an evaluation."""
    statement = _joined().where(*_conditions(query)).order_by(EVENT_INDEX.c.id.desc()).limit(query.limit)
    return await tx.all(CheckExecution, statement)


def _joined() -> Select[tuple[Any, ...]]:
    return select(
        EVENT_INDEX.c.id,
        EVENT_INDEX.c.outcome,
        JOB_NAME.label("job_name"),
        EVENT_INDEX.c.run_id,
        ATTEMPT.label("attempt"),
        BODY.label("body"),
    ).select_from(WITH_EVENTS)


def _conditions(query: CheckQuery) -> list[ColumnElement[bool]]:
    table = EVENT_INDEX
    later = table.alias("later")
    is_evaluated = exists().where(
        later.c.deployment == table.c.deployment,
        later.c.asset == table.c.asset,
        later.c.kind == CHECK_EVALUATED,
        later.c.partition == table.c.partition,
        later.c.id > table.c.id,
        later.c.check_name == table.c.check_name,
        later.c.run_id == table.c.run_id,
    )
    conditions = [
        table.c.deployment == query.deployment,
        table.c.asset == query.asset,
        table.c.kind.in_((CHECK_EVALUATED, CHECK_PLANNED)),
        table.c.check_name == query.check_name,
        or_(table.c.kind == CHECK_EVALUATED, ~is_evaluated),
    ]
    if query.outcomes:
        conditions.append(table.c.outcome.in_(sorted(query.outcomes)))
    if query.partition is not None:
        conditions.append(table.c.partition == query.partition)
    if query.before_id:
        conditions.append(table.c.id < query.before_id)
    return conditions
