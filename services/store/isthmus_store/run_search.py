"""Runs as an instance asks for them: by ids, states, tags and times, forwards or backwards from one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from isthmus_store.record.run import Run
from isthmus_store.state import RunState
from isthmus_store.table.run import RUN_TAGS, RUNS
from isthmus_store.transaction import Transaction, WriteTransaction
from isthmus_store.wire import storable


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSearch:
    """Which runs; what is left empty does not restrict. All times are exclusive."""

    deployment: str
    run_ids: frozenset[str] = frozenset()
    job_name: str = ""
    states: frozenset[RunState] = frozenset()
    #: Each must be on the run, with one of its values.
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    #: Go on after this run; empty to begin.
    after_run_id: str = ""
    limit: int
    is_ascending: bool = False
    #: In the order of the last changes instead of that of the creations.
    is_by_update: bool = False


def updated_at(run: Run) -> datetime:
    """Return when the run's state last changed."""
    return run.ended_at or run.started_at or run.accepted_at or run.dispatched_at or run.queued_at


async def find(tx: Transaction, search: RunSearch) -> list[Run]:
    """Return runs, newest first if not `is_ascending`."""
    first = _UPDATED_AT if search.is_by_update else RUNS.c.queued_at
    keys = (first, RUNS.c.run_id)
    order = [key.asc() for key in keys] if search.is_ascending else [key.desc() for key in keys]
    statement = select(RUNS).where(*_conditions(search)).order_by(*order).limit(search.limit)
    return await tx.all(Run, statement)


async def count(tx: Transaction, search: RunSearch) -> int:
    """Return how many runs the search finds, whatever its limit."""
    statement = select(func.count()).select_from(RUNS).where(*_conditions(search))
    return int((await tx.execute(statement)).scalar_one())


async def tag_values(
    tx: Transaction, *, deployment: str, keys: frozenset[str], value_prefix: str, limit: int
) -> list[tuple[str, str]]:
    """Return the different tags that the deployment's runs have, by key and value."""
    is_of_deployment = exists().where(RUNS.c.run_id == RUN_TAGS.c.run_id, RUNS.c.deployment == deployment)
    statement = select(RUN_TAGS.c.key, RUN_TAGS.c.value).distinct().where(is_of_deployment)
    if keys:
        statement = statement.where(RUN_TAGS.c.key.in_(sorted(keys)))
    if value_prefix:
        statement = statement.where(RUN_TAGS.c.value.startswith(value_prefix, autoescape=True))
    ordered = statement.order_by(RUN_TAGS.c.key, RUN_TAGS.c.value).limit(limit)
    return [(row.key, row.value) for row in await tx.execute(ordered)]


async def add_tags(tx: WriteTransaction, run_id: str, tags: Mapping[str, str], *, is_over: bool = True) -> None:
    """Put tags on a run that exists: over those that it has, or under them."""
    rows = [{"run_id": run_id, "key": storable(key), "value": storable(value)} for key, value in sorted(tags.items())]
    if rows:
        insertion = tx.insert(RUN_TAGS)
        keys = ["run_id", "key"]
        over = insertion.on_conflict_do_update(index_elements=keys, set_={"value": insertion.excluded.value})
        await tx.execute(over if is_over else insertion.on_conflict_do_nothing(index_elements=keys), rows)


def _conditions(search: RunSearch) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [RUNS.c.deployment == search.deployment]
    if search.run_ids:
        conditions.append(RUNS.c.run_id.in_(sorted(search.run_ids)))
    if search.job_name:
        conditions.append(RUNS.c.job_name == search.job_name)
    if search.states:
        conditions.append(RUNS.c.state.in_(sorted(search.states)))
    for key, values in search.tags.items():
        is_tagged = and_(
            RUN_TAGS.c.run_id == RUNS.c.run_id, RUN_TAGS.c.key == key, RUN_TAGS.c.value.in_(sorted(values))
        )
        conditions.append(exists().where(is_tagged))
    for column, after, before in (
        (RUNS.c.queued_at, search.created_after, search.created_before),
        (_UPDATED_AT, search.updated_after, search.updated_before),
    ):
        conditions += [column > after] if after is not None else []
        conditions += [column < before] if before is not None else []
    if search.after_run_id:
        conditions.append(_beyond(search))
    return conditions


def _beyond(search: RunSearch) -> ColumnElement[bool]:
    """Compare with the run that the page before ended with; without such a run nothing lies beyond it."""
    other = RUNS.alias("other")
    at = select(other.c.queued_at).where(other.c.run_id == search.after_run_id).scalar_subquery()
    if search.is_ascending:
        return or_(RUNS.c.queued_at > at, and_(RUNS.c.queued_at == at, RUNS.c.run_id > search.after_run_id))
    return or_(RUNS.c.queued_at < at, and_(RUNS.c.queued_at == at, RUNS.c.run_id < search.after_run_id))


_UPDATED_AT = func.coalesce(
    RUNS.c.ended_at,
    RUNS.c.started_at,
    RUNS.c.accepted_at,
    RUNS.c.dispatched_at,
    RUNS.c.queued_at,
    type_=RUNS.c.queued_at.type,
)
