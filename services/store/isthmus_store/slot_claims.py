"""What steps claim of pools: which claims count is derived from the runs, so that no slot is ever lost.

A claim counts while its run is at the claim's attempt and has not ended. What does not count any more is deleted when
something is granted, and otherwise harms nobody. Whoever grants holds `lock` meanwhile.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Text, and_, bindparam, case, cast, delete, func, literal_column, select, update

from isthmus_store.record.queue import SlotClaim
from isthmus_store.record.run import AttemptRef, Run
from isthmus_store.run_queue import IS_HOLDING
from isthmus_store.table.queue import CLAIMING_RUNS, SLOT_CLAIMS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction


async def lock(tx: WriteTransaction) -> None:
    """Wait until nobody else grants slots, or lets runs leave the queue: both count what the other takes."""
    await tx.exclusive("queue")


async def live(tx: Transaction, deployment: str) -> list[SlotClaim]:
    """Return the claims of a deployment that count."""
    return await tx.all(SlotClaim, _LIVE, {"b_deployment": deployment})


async def of_run(tx: Transaction, ref: AttemptRef) -> list[SlotClaim]:
    """Return the claims of a run's attempt, whether or not they count."""
    return await tx.all(SlotClaim, _OF_RUN, {"b_run_id": ref.run_id, "b_attempt": ref.attempt})


async def whole_runs(tx: Transaction, deployment: str) -> Counter[str]:
    """Count, for each pool, the runs that hold a slot as a whole: their steps do not claim any."""
    counts: Counter[str] = Counter()
    for row in await tx.execute(_WHOLE_RUNS, {"b_deployment": deployment}):
        counts.update(dict.fromkeys(json.loads(row.pools or "[]") or (), row.runs))
    return counts


async def whole_holders(tx: Transaction, deployment: str, *, pool: str) -> list[Run]:
    """Return the runs that hold a slot of a pool as a whole, the longest dispatched first. For people who look."""
    return [run for run in await holders(tx, deployment) if pool in run.pools]


async def holders(tx: Transaction, deployment: str) -> list[Run]:
    """Return the runs that hold slots of their pools as a whole, the longest dispatched first."""
    return [run for run in await tx.all(Run, _WHOLE_HOLDERS, {"b_deployment": deployment}) if run.pools]


async def mark(tx: WriteTransaction, run_ids: Iterable[str]) -> None:
    """Note that the steps of runs that are dispatched claim slots themselves, and have claimed none yet."""
    rows = [{"run_id": run_id, "has_claimed": False} for run_id in sorted(run_ids)]
    marked = tx.insert(CLAIMING_RUNS).on_conflict_do_update(
        index_elements=["run_id"], set_={"has_claimed": literal_column("false")}
    )
    if rows:
        await tx.execute(marked, rows)


async def want(tx: WriteTransaction, claims: Collection[SlotClaim]) -> None:
    """Take claims down. One that is there keeps its place, and its slot if it has one; the newest try counts."""
    statement = tx.insert(SLOT_CLAIMS)
    new = statement.excluded
    newest = func.max if not tx.is_postgresql else func.greatest
    taken_down = statement.on_conflict_do_update(
        index_elements=["run_id", "attempt", "step_key"],
        set_={"retry_number": newest(SLOT_CLAIMS.c.retry_number, new.retry_number), "room": new.room},
    )
    rows = [{column.name: getattr(it, column.name) for column in SLOT_CLAIMS.c} for it in claims]
    if rows:
        await tx.execute(taken_down, sorted(rows, key=lambda row: row["step_key"]))
        for run_id in sorted({it.run_id for it in claims}):
            await tx.execute(_HAS_CLAIMED, {"b_run_id": run_id})


async def grant(tx: WriteTransaction, claims: Sequence[SlotClaim], *, at: datetime) -> None:
    """Give slots to claims that wait; the others of their runs have as much less room."""
    for it in claims:
        values = {"b_run_id": it.run_id, "b_attempt": it.attempt, "b_step_key": it.step_key, "b_at": at}
        await tx.execute(_GRANT, values)
        await tx.execute(_LESSEN, {"b_run_id": it.run_id, "b_attempt": it.attempt})


async def free(tx: WriteTransaction, ref: AttemptRef, tries: Iterable[tuple[str, int]]) -> int:
    """Forget what tries of steps claimed, unless a later try of the step has taken it over; returns how many did.

    Args:
        tx: Writes.
        ref: The steps' attempt.
        tries: Each a step's key, and the number of its try.
    """
    freed = 0
    for step_key, retry_number in sorted(tries):
        values = {"b_run_id": ref.run_id, "b_attempt": ref.attempt, "b_step_key": step_key, "b_retry": retry_number}
        freed += (await tx.execute(_FREE, values)).rowcount
    return freed


async def end(tx: WriteTransaction, steps: Collection[tuple[AttemptRef, str]]) -> set[str]:
    """Forget what steps claimed that have come to their ends, whatever try; returns the deployments of those that had."""
    run_ids = sorted({ref.run_id for ref, _ in steps})
    claims = await tx.all(SlotClaim, _OF_RUNS, {"b_run_ids": run_ids}) if run_ids else []
    ended = [it for it in claims if (AttemptRef(it.run_id, it.attempt), it.step_key) in steps]
    for it in ended:
        values = {"b_run_id": it.run_id, "b_attempt": it.attempt, "b_step_key": it.step_key}
        await tx.execute(_FREE, {**values, "b_retry": it.retry_number})
    return {it.deployment for it in ended}


async def sweep(tx: WriteTransaction) -> None:
    """Delete what does not count any more."""
    await tx.execute(_SWEEP_CLAIMS)
    await tx.execute(_SWEEP_RUNS)


_CLAIM: Final = SLOT_CLAIMS.c
_OF_ATTEMPT: Final = (_CLAIM.run_id == bindparam("b_run_id"), _CLAIM.attempt == bindparam("b_attempt"))
_COUNTS: Final = and_(RUNS.c.run_id == _CLAIM.run_id, RUNS.c.attempt == _CLAIM.attempt, RUNS.c.ended_at.is_(None))
#: Asked of each claim: of a join SQLite may begin with all runs.
_IS_LIVE: Final = select(RUNS.c.run_id).where(_COUNTS).exists()
_LIVE: Final = (
    select(SLOT_CLAIMS)
    .where(_CLAIM.deployment == bindparam("b_deployment"), _IS_LIVE)
    .order_by(_CLAIM.wanted_at, _CLAIM.run_id, _CLAIM.step_key)
)
_OF_RUN: Final = select(SLOT_CLAIMS).where(*_OF_ATTEMPT)
_OF_RUNS: Final = (
    select(SLOT_CLAIMS)
    .where(_CLAIM.run_id.in_(bindparam("b_run_ids", expanding=True)))
    .order_by(_CLAIM.run_id, _CLAIM.attempt, _CLAIM.step_key)
)
USES: Final = (
    select(
        _CLAIM.deployment,
        _CLAIM.pool,
        func.count(_CLAIM.granted_at).label("granted"),
        func.sum(case((_CLAIM.granted_at.is_(None), 1), else_=0)).label("waiting"),
    )
    .where(_IS_LIVE)
    .group_by(_CLAIM.deployment, _CLAIM.pool)
)
_POOLS: Final = cast(RUNS.c.pools, Text)
_IS_WHOLE: Final = (
    *IS_HOLDING,
    RUNS.c.deployment == bindparam("b_deployment"),
    RUNS.c.run_id.not_in(select(CLAIMING_RUNS.c.run_id)),
)
_WHOLE_RUNS: Final = select(_POOLS.label("pools"), func.count().label("runs")).where(*_IS_WHOLE).group_by(_POOLS)
_WHOLE_HOLDERS: Final = select(RUNS).where(*_IS_WHOLE).order_by(RUNS.c.dispatched_at, RUNS.c.run_id)
CLAIMING_LINES: Final = (
    select(
        RUNS.c.line,
        func.count().label("claiming"),
        func.sum(case((CLAIMING_RUNS.c.has_claimed, 0), else_=1)).label("unclaimed"),
    )
    .join(CLAIMING_RUNS, CLAIMING_RUNS.c.run_id == RUNS.c.run_id)
    .where(*IS_HOLDING)
    .group_by(RUNS.c.line)
)
_GRANT: Final = (
    update(SLOT_CLAIMS)
    .where(*_OF_ATTEMPT, _CLAIM.step_key == bindparam("b_step_key"), _CLAIM.granted_at.is_(None))
    .values(granted_at=bindparam("b_at", type_=_CLAIM.granted_at.type))
)
_LESSEN: Final = (
    update(SLOT_CLAIMS).where(*_OF_ATTEMPT, _CLAIM.granted_at.is_(None)).values(room=_CLAIM.room - literal_column("1"))
)
_FREE: Final = delete(SLOT_CLAIMS).where(
    *_OF_ATTEMPT, _CLAIM.step_key == bindparam("b_step_key"), _CLAIM.retry_number <= bindparam("b_retry")
)
_HAS_CLAIMED: Final = (
    update(CLAIMING_RUNS)
    .where(CLAIMING_RUNS.c.run_id == bindparam("b_run_id"), ~CLAIMING_RUNS.c.has_claimed)
    .values(has_claimed=True)
)
_SWEEP_CLAIMS: Final = delete(SLOT_CLAIMS).where(~select(RUNS.c.run_id).where(_COUNTS).exists())
#: Asked of each that claims, too: of a list of all runs that ended SQLite would read a year of them, while nobody else writes.
_SWEEP_RUNS: Final = delete(CLAIMING_RUNS).where(
    ~select(RUNS.c.run_id).where(RUNS.c.run_id == CLAIMING_RUNS.c.run_id, RUNS.c.ended_at.is_(None)).exists()
)
