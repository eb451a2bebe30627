"""Backfills: made, read, moved on, and removed when they are old."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from string import ascii_lowercase
from typing import Final, NamedTuple

from sqlalchemy import and_, bindparam, delete, func, or_, select, update

from isthmus_store.record.backfill import (
    Backfill,
    BackfillDecision,
    BackfillRun,
    Count,
    Course,
    NewBackfill,
    PlannedRun,
    UnderWay,
)
from isthmus_store.state import UNMET, BackfillOutcome, BackfillState, RunState
from isthmus_store.table.backfill import BACKFILL_DECISIONS, BACKFILL_RUNS, BACKFILLS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction

#: Rows that one statement writes.
_PORTION: Final = 1_000
_ID_LENGTH: Final = 8
_UNMADE: Final = (BackfillOutcome.WAITING, BackfillOutcome.BLOCKED)
_PLANNED: Final = ("number", "group", "begin", "first", "last", "partitions")
_TOLD: Final = ("number", "group", "first", "last", "partitions", "run_id", "outcome", "problem")
_UNFINISHED: Final = (BackfillState.RUNNING, BackfillState.CANCELING)


def new_id() -> str:
    """Return the id of a new backfill, in Dagster's form."""
    return "".join(secrets.choice(ascii_lowercase) for _ in range(_ID_LENGTH))


async def create(tx: WriteTransaction, new: NewBackfill) -> Backfill | None:
    """Write a backfill with the runs that it is to make; None, with nothing written, when its id is taken."""
    values = {
        "state": BackfillState.RUNNING,
        "paused_by": "",
        **{name: getattr(new, name) for name in new.__slots__ if name not in {"runs", "blocked"}},
    }
    insertion = tx.insert_new(BACKFILLS, "deployment", "backfill_id").values(values).returning(BACKFILLS.c.id)
    number = (await tx.execute(insertion)).scalar_one_or_none()
    if number is None:
        return None
    for start in range(0, len(new.runs), _PORTION):
        rows = [
            {"backfill": number, "outcome": _first(it, blocked=new.blocked), "problem": "", **asdict(it)}
            for it in new.runs[start : start + _PORTION]
        ]
        await tx.execute(BACKFILL_RUNS.insert(), rows)
    return await get(tx, deployment=new.deployment, backfill_id=new.backfill_id)


def _first(it: PlannedRun, *, blocked: Collection[int]) -> BackfillOutcome:
    return BackfillOutcome.BLOCKED if it.group in blocked else BackfillOutcome.WAITING


async def get(tx: Transaction, *, deployment: str, backfill_id: str) -> Backfill | None:
    """Return a backfill, or None."""
    is_meant = and_(BACKFILLS.c.deployment == deployment, BACKFILLS.c.backfill_id == backfill_id)
    return await tx.first(Backfill, select(BACKFILLS).where(is_meant))


async def lock(tx: WriteTransaction, number: int) -> Backfill | None:
    """Return a backfill, held against other writers until the transaction ends."""
    return await tx.first(Backfill, select(BACKFILLS).where(BACKFILLS.c.id == number).with_for_update())


async def unfinished(tx: Transaction) -> list[Backfill]:
    """Return the backfills of all deployments that have not ended, oldest first."""
    return await tx.all(Backfill, select(BACKFILLS).where(BACKFILLS.c.ended_at.is_(None)).order_by(BACKFILLS.c.id))


@dataclass(frozen=True, kw_only=True, slots=True)
class BackfillQuery:
    """Which backfills; what is left empty does not restrict."""

    deployment: str
    states: frozenset[BackfillState] = frozenset()
    #: Whether those that run are to be paused, or not to be; None for either.
    is_paused: bool | None = None
    location: str = ""
    job_name: str = ""
    #: Exclusive; 0 for the newest.
    before: int = 0
    limit: int


async def page(tx: Transaction, query: BackfillQuery) -> list[Backfill]:
    """Return backfills, newest first."""
    table = BACKFILLS
    conditions = [table.c.deployment == query.deployment]
    if query.states:
        conditions.append(table.c.state.in_(sorted(query.states)))
    if query.is_paused is not None:
        is_paused = table.c.paused_at.is_not(None) if query.is_paused else table.c.paused_at.is_(None)
        conditions.append(or_(table.c.state != BackfillState.RUNNING, is_paused))
    if query.location:
        conditions.append(table.c.location == query.location)
    if query.job_name:
        conditions.append(table.c.job_name == query.job_name)
    if query.before:
        conditions.append(table.c.id < query.before)
    return await tx.all(Backfill, select(table).where(*conditions).order_by(table.c.id.desc()).limit(query.limit))


async def counts(tx: Transaction, numbers: Collection[int]) -> dict[int, list[Count]]:
    """Count the runs and partitions of backfills by what came of them."""
    table = BACKFILL_RUNS
    statement = (
        select(
            table.c.backfill,
            table.c.outcome,
            func.count().label("runs"),
            func.sum(table.c.partitions).label("partitions"),
        )
        .where(table.c.backfill.in_(sorted(numbers)))
        .group_by(table.c.backfill, table.c.outcome)
    )
    found: dict[int, list[Count]] = {number: [] for number in numbers}
    for row in await tx.execute(statement):
        # PostgreSQL sums whole numbers to decimals.
        found[row.backfill].append(Count(outcome=row.outcome, runs=row.runs, partitions=int(row.partitions)))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsOf:
    """Which runs of a backfill."""

    backfill: int
    #: Those that failed or were canceled, and nothing else.
    is_failed_only: bool = False
    #: Exclusive.
    after: int = 0
    limit: int


async def runs_of(tx: Transaction, query: RunsOf) -> list[BackfillRun]:
    """Return runs of a backfill, in their order."""
    table = BACKFILL_RUNS
    columns = [table.c[name] for name in _TOLD]
    statement = (
        select(*columns, RUNS.c.state)
        .select_from(table.outerjoin(RUNS, RUNS.c.run_id == table.c.run_id))
        .where(table.c.backfill == query.backfill, table.c.number > query.after)
        .order_by(table.c.number)
        .limit(query.limit)
    )
    if query.is_failed_only:
        statement = statement.where(table.c.outcome.in_(UNMET))
    return await tx.all(BackfillRun, statement)


async def unmet(tx: Transaction, number: int) -> list[PlannedRun]:
    """Return what is to be done again: what failed or was canceled, but for runs that came back since."""
    table = BACKFILL_RUNS
    is_unmet = or_(RUNS.c.state.is_(None), RUNS.c.state.in_((RunState.FAILED, RunState.CANCELED)))
    statement = (
        select(*(table.c[name] for name in _PLANNED))
        .select_from(table.outerjoin(RUNS, RUNS.c.run_id == table.c.run_id))
        .where(table.c.backfill == number, table.c.outcome.in_(UNMET), is_unmet)
        .order_by(table.c.number)
    )
    return await tx.all(PlannedRun, statement)


# ----------------------------------------------------------------------------------------------------------- moving on


async def under_way(tx: Transaction, number: int) -> list[UnderWay]:
    """Return the runs of a backfill that were not yet seen to end, as they stand."""
    table = BACKFILL_RUNS
    statement = (
        select(table.c.number, table.c.run_id, RUNS.c.state, RUNS.c.retried_by)
        .select_from(table.outerjoin(RUNS, RUNS.c.run_id == table.c.run_id))
        .where(table.c.backfill == number, table.c.outcome == BackfillOutcome.UNDER_WAY)
        .order_by(table.c.number)
    )
    return await tx.all(UnderWay, statement)


async def waiting(tx: Transaction, number: int, *, limit: int) -> list[PlannedRun]:
    """Return the next runs that are to be made."""
    table = BACKFILL_RUNS
    columns = [table.c[name] for name in _PLANNED]
    is_next = and_(table.c.backfill == number, table.c.outcome == BackfillOutcome.WAITING)
    return await tx.all(PlannedRun, select(*columns).where(is_next).order_by(table.c.number).limit(limit))


async def course(tx: Transaction, number: int) -> list[Course]:
    """Return all runs of a backfill as those that wait for them have to know them; nothing where none waits."""
    table = BACKFILL_RUNS
    is_blocked = and_(table.c.backfill == number, table.c.outcome == BackfillOutcome.BLOCKED)
    if (await tx.execute(select(table.c.number).where(is_blocked).limit(1))).first() is None:
        return []
    columns = [table.c[name] for name in ("number", "group", "begin", "partitions", "outcome")]
    return await tx.all(Course, select(*columns).where(table.c.backfill == number).order_by(table.c.number))


async def has_unmade(tx: Transaction, number: int, *, is_all: bool) -> bool:
    """Tell whether runs are yet to be made; with `is_all`, those count, too, that may not be made yet."""
    outcomes = _UNMADE if is_all else (BackfillOutcome.WAITING,)
    is_unmade = and_(BACKFILL_RUNS.c.backfill == number, BACKFILL_RUNS.c.outcome.in_(outcomes))
    return (await tx.execute(select(BACKFILL_RUNS.c.number).where(is_unmade).limit(1))).first() is not None


async def has_unmet(tx: Transaction, number: int) -> bool:
    """Tell whether anything failed or was canceled."""
    is_unmet = and_(BACKFILL_RUNS.c.backfill == number, BACKFILL_RUNS.c.outcome.in_(UNMET))
    return (await tx.execute(select(BACKFILL_RUNS.c.number).where(is_unmet).limit(1))).first() is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """What became of one run of a backfill."""

    number: int
    outcome: BackfillOutcome
    run_id: str | None
    problem: str = ""


async def move(tx: WriteTransaction, number: int, moves: Sequence[Move]) -> None:
    """Write what became of runs of a backfill."""
    rows = [
        {
            "b_backfill": number,
            "b_number": it.number,
            "b_outcome": it.outcome,
            "b_run_id": it.run_id,
            "b_problem": it.problem,
        }
        for it in moves
    ]
    if rows:
        await tx.execute(_MOVE, rows)


async def give_up(tx: WriteTransaction, number: int) -> int:
    """Give up all runs that are yet to be made; returns how many."""
    is_next = and_(BACKFILL_RUNS.c.backfill == number, BACKFILL_RUNS.c.outcome.in_(_UNMADE))
    return (await tx.execute(update(BACKFILL_RUNS).where(is_next).values(outcome=BackfillOutcome.CANCELED))).rowcount


async def set_state(tx: WriteTransaction, number: int, state: BackfillState, *, at: datetime) -> None:
    """Say where a backfill is now."""
    ended_at = at if state not in _UNFINISHED else None
    await tx.execute(update(BACKFILLS).where(BACKFILLS.c.id == number).values(state=state, ended_at=ended_at))


async def set_paused(tx: WriteTransaction, number: int, *, at: datetime | None, by: str) -> None:
    """Pause a backfill, or, without a moment, let it go on."""
    await tx.execute(update(BACKFILLS).where(BACKFILLS.c.id == number).values(paused_at=at, paused_by=by))


async def note(tx: WriteTransaction, number: int, decision: BackfillDecision) -> None:
    """Write down what was decided."""
    await tx.execute(BACKFILL_DECISIONS.insert(), {"backfill": number, **asdict(decision)})


async def decisions(tx: Transaction, number: int, *, limit: int) -> list[BackfillDecision]:
    """Return what was decided, newest first."""
    table = BACKFILL_DECISIONS
    statement = select(table.c.at, table.c.text, table.c.runs).where(table.c.backfill == number)
    return await tx.all(BackfillDecision, statement.order_by(table.c.id.desc()).limit(limit))


# ----------------------------------------------------------------------------------------------------------- retention


class RunKey(NamedTuple):
    """A run of a backfill."""

    backfill: int
    number: int


async def old_runs(tx: Transaction, rows: int, *, ended_before: datetime) -> Sequence[RunKey]:
    """Return runs of backfills that ended long ago: they are many, and go before their backfills."""
    old = select(BACKFILLS.c.id).where(BACKFILLS.c.ended_at < ended_before)
    statement = select(BACKFILL_RUNS.c.backfill, BACKFILL_RUNS.c.number).where(BACKFILL_RUNS.c.backfill.in_(old))
    return [RunKey._make(row) for row in (await tx.execute(statement.limit(rows))).all()]


async def remove_runs(tx: WriteTransaction, keys: Collection[RunKey]) -> None:
    """Forget runs of backfills; the runs themselves stay."""
    await tx.delete_rows(BACKFILL_RUNS, sorted(keys))


async def old(tx: Transaction, rows: int, *, ended_before: datetime) -> Sequence[int]:
    """Return backfills that ended long ago."""
    found = await tx.execute(select(BACKFILLS.c.id).where(BACKFILLS.c.ended_at < ended_before).limit(rows))
    return found.scalars().all()


async def remove(tx: WriteTransaction, numbers: Collection[int]) -> None:
    """Remove backfills, with what was decided about them."""
    await tx.execute(delete(BACKFILLS).where(BACKFILLS.c.id.in_(sorted(numbers))))


_MOVE: Final = (
    update(BACKFILL_RUNS)
    .where(BACKFILL_RUNS.c.backfill == bindparam("b_backfill"), BACKFILL_RUNS.c.number == bindparam("b_number"))
    .values(outcome=bindparam("b_outcome"), run_id=bindparam("b_run_id"), problem=bindparam("b_problem"))
)
