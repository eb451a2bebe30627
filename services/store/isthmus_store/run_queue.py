"""The queue of runs, in lines: reading it costs what is asked for, however many wait.

The runs that the same limits hold back wait in one line, and the lines are ordered by what their names begin with. The
control plane names them; here a name is only text. Who waits is read along `ix_runs_line`, who holds a slot along
`ix_runs_holding`: each has those runs and no others. Their conditions stand in the statements as literals: neither
database uses a partial index for a state that it learns only when it executes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Integer,
    Select,
    String,
    TextClause,
    bindparam,
    func,
    literal_column,
    select,
    text,
    update,
)

from isthmus_store import departure_rows, runs
from isthmus_store.column import Instant, Words
from isthmus_store.departure_rows import Left
from isthmus_store.events import PlacedEvent
from isthmus_store.record.event import NewEvent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.queue import Depth, Head, Held, Unsorted
from isthmus_store.record.run import Run
from isthmus_store.signal import Dispatched
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction
from isthmus_store.transition import transition

#: Lines whose names begin so are for runs that wait for a moment: see `deferral`. All others stand before them.
DEFERRED: Final = "~"


@dataclass(frozen=True, slots=True)
class Departure:
    """What goes with a run that leaves the queue: the command that launches it, and the event that tells of it."""

    agent: str
    command: NewInstruction
    event: NewEvent


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """A run that is to change its line, unless somebody else has changed it."""

    run_id: str
    old_line: str
    line: str
    pools: tuple[str, ...]
    root_pools: tuple[str, ...]


async def heads(tx: Transaction, *, limit: int, after: str = "") -> list[Head]:
    """Return the lines of runs that wait, in the order of their names. Costs a few steps along the index for each.

    Args:
        tx: Any transaction.
        limit: How many lines at most.
        after: The line to go on after; empty for the first.
    """
    parameters = {"b_beginning": _beginning(after), "b_end": DEFERRED, "b_limit": limit}
    return await tx.all(Head, HEADS[tx.is_postgresql], parameters)


async def names(tx: Transaction, *, limit: int, before: str = DEFERRED) -> list[str]:
    """Return the names of the lines of runs that wait, in their order; see `heads`, which costs several times as much.

    Args:
        tx: Any transaction.
        limit: How many names at most.
        before: What follows all of them in the order of names.
    """
    parameters = {"b_beginning": "", "b_end": before, "b_limit": limit}
    # As one value: a row for each would take longer to take apart than the database needs to find it.
    found = (await tx.execute(NAMES[tx.is_postgresql], parameters)).scalar_one()
    return str(found).split(_BETWEEN) if found is not None else []


async def is_empty(tx: Transaction) -> bool:
    """Tell whether nobody waits, but for moments; costs a step along the index."""
    return (await tx.execute(_ANYBODY)).first() is None


async def head(tx: Transaction, line: str) -> Head | None:
    """Return the first of a line's runs; None when nobody waits in it."""
    found = await tx.all(Head, HEAD, {"b_line": line})
    return found[0] if found else None


def _beginning(after: str) -> str:
    # A space is less than all that a name could go on with.
    return f"{after} " if after else ""


async def oldest(tx: Transaction, line: str, *, limit: int) -> list[Run]:
    """Return the runs at the head of a line, in their order."""
    return await tx.all(Run, OLDEST, {"b_line": line, "b_limit": limit})


async def held(tx: Transaction) -> list[Held]:
    """Return how many runs of each line hold slots: they were dispatched, and have not ended."""
    return await tx.all(Held, HELD)


async def holders(tx: Transaction, lines: Collection[str], *, limit: int) -> list[Run]:
    """Return some of the runs of lines that hold slots, the longest dispatched first."""
    statement = select(RUNS).where(*IS_HOLDING, RUNS.c.line.in_(sorted(lines)))
    return await tx.all(Run, statement.order_by(RUNS.c.dispatched_at, RUNS.c.run_id).limit(limit))


async def depths(tx: Transaction) -> list[Depth]:
    """Return how many runs wait in each line. Costs all that wait: for people who look."""
    return await tx.all(Depth, DEPTHS)


async def ahead(tx: Transaction, run: Run, *, at_most: int) -> int:
    """Count the runs of a run's own line that go before it, up to a number."""
    before = (RUNS.c.queued_at < run.queued_at) | ((RUNS.c.queued_at == run.queued_at) & (RUNS.c.run_id < run.run_id))
    some = select(RUNS.c.run_id).where(IS_WAITING, RUNS.c.line == run.line, before).limit(at_most)
    return int((await tx.execute(select(func.count()).select_from(some.subquery()))).scalar_one())


async def unsorted(tx: Transaction, lines: Collection[str], *, limit: int) -> list[Unsorted]:
    """Return some of the runs that wait or hold slots in lines whose names are not good any more."""
    among = RUNS.c.line.in_(sorted(lines))
    waiting = await tx.all(Unsorted, _UNSORTED.where(IS_WAITING, among).limit(limit))
    if len(waiting) >= limit:
        return waiting
    return waiting + await tx.all(Unsorted, _UNSORTED.where(*IS_HOLDING, among).limit(limit - len(waiting)))


async def sort(tx: WriteTransaction, runs_to_sort: Sequence[Sorted]) -> None:
    """Put runs into other lines."""
    rows = [
        {
            "b_run_id": it.run_id,
            "b_old": it.old_line,
            "b_line": it.line,
            "b_pools": it.pools,
            "b_root_pools": it.root_pools,
        }
        for it in sorted(runs_to_sort, key=lambda it: it.run_id)
    ]
    if rows:
        await tx.execute(_SORT, rows)


async def dispatch(tx: WriteTransaction, departures: Mapping[str, Departure], *, at: datetime) -> list[Run]:
    """Let runs leave the queue, by run id, in as few statements as can be; returns those that left, in that order.

    The same as a Dispatched signal, `events.append` and `outbox.add` for each. One that waits no longer is passed over.
    """
    locked = await runs.lock(tx, departures)
    left: list[Run] = []
    for run_id, departure in departures.items():
        run = locked.get(run_id)
        decision = transition(runs.facts(run), _dispatched(run, departure)) if run is not None else None
        if run is None or decision is None or not decision.is_change:
            continue
        changed = runs.advanced(run, decision.facts, at=at)
        left.append(replace(changed, last_position=run.last_position + 1))
    await _write(tx, left, departures=departures, at=at)
    return left


def _dispatched(run: Run, departure: Departure) -> Dispatched:
    return Dispatched(attempt=run.attempt, agent=departure.agent)


async def _write(
    tx: WriteTransaction, left: Sequence[Run], *, departures: Mapping[str, Departure], at: datetime
) -> None:
    await runs.save_moved(tx, left, last_positions={run.run_id: run.last_position for run in left})
    rows = []
    for run in left:
        it = departures[run.run_id]
        placed = PlacedEvent(run.run_id, run.last_position, run.attempt, it.event)
        rows.append(Left(run, placed, it.command))
    await departure_rows.insert(tx, rows, at=at)


IS_WAITING: Final = RUNS.c.state == literal_column("'QUEUED'")
_ANYBODY: Final = (
    select(RUNS.c.run_id)
    .where(IS_WAITING, RUNS.c.line < literal_column(f"'{DEFERRED}'"))
    # In the index's order: otherwise PostgreSQL may look through all runs for one.
    .order_by(RUNS.c.line, RUNS.c.queued_at, RUNS.c.run_id)
    .limit(1)
)
IS_HOLDING: Final = (RUNS.c.dispatched_at.is_not(None), RUNS.c.ended_at.is_(None))
OLDEST: Final = (
    select(RUNS)
    .where(IS_WAITING, RUNS.c.line == bindparam("b_line"))
    .order_by(RUNS.c.queued_at, RUNS.c.run_id)
    .limit(bindparam("b_limit", type_=Integer()))
)
HELD: Final = (
    select(RUNS.c.line, func.count().label("held"), func.min(RUNS.c.run_id).label("run_id"))
    .where(*IS_HOLDING)
    .group_by(RUNS.c.line)
)
ON_THE_WAY: Final = (
    select(RUNS.c.deployment, RUNS.c.location, RUNS.c.agent, func.count().label("runs"))
    .where(
        RUNS.c.state == literal_column("'DISPATCHED'"),
        RUNS.c.deployment.in_(bindparam("b_deployments", expanding=True)),
    )
    .group_by(RUNS.c.deployment, RUNS.c.location, RUNS.c.agent)
)
DEPTHS: Final = (
    select(RUNS.c.line, func.count().label("waiting"), func.min(RUNS.c.queued_at).label("queued_at"))
    .where(IS_WAITING)
    .group_by(RUNS.c.line)
)
_UNSORTED: Final[Select[Any]] = select(
    RUNS.c.run_id, RUNS.c.deployment, RUNS.c.location, RUNS.c.line, RUNS.c.pools, RUNS.c.root_pools
)
_SORT: Final = (
    update(RUNS)
    .where(RUNS.c.run_id == bindparam("b_run_id"), RUNS.c.line == bindparam("b_old"))
    .values(
        line=bindparam("b_line"),
        pools=bindparam("b_pools", type_=Words()),
        root_pools=bindparam("b_root_pools", type_=Words()),
    )
)
#: No name of a line has it.
_BETWEEN: Final = ","
HEAD: Final = (
    select(RUNS.c.line, RUNS.c.run_id, RUNS.c.queued_at)
    .where(IS_WAITING, RUNS.c.line == bindparam("b_line"))
    .order_by(RUNS.c.queued_at, RUNS.c.run_id)
    .limit(1)
)
# From each line to the next: neither database skips along an index by itself. PostgreSQL takes a head's row where it
# finds the line; SQLite, which cannot hand on more than one value of a step, looks three times, and is quick about it.
_WALK_OF_SQLITE: Final = """
    WITH RECURSIVE among (line) AS (
      SELECT min(line) FROM runs WHERE state = 'QUEUED' AND line >= :b_beginning AND line < :b_end
      UNION ALL
      SELECT (SELECT min(runs.line) FROM runs WHERE state = 'QUEUED' AND runs.line > among.line AND runs.line < :b_end)
      FROM among WHERE among.line IS NOT NULL
    )
    """
_WALK_OF_POSTGRESQL: Final = """
    WITH RECURSIVE among (line, run_id, queued_at) AS (
      (SELECT line, run_id, queued_at FROM runs WHERE state = 'QUEUED' AND line >= :b_beginning AND line < :b_end
       ORDER BY line, queued_at, run_id LIMIT 1)
      UNION ALL
      SELECT next.line, next.run_id, next.queued_at FROM among, LATERAL (
        SELECT line, run_id, queued_at FROM runs WHERE state = 'QUEUED' AND line > among.line AND line < :b_end
        ORDER BY line, queued_at, run_id LIMIT 1
      ) AS next
    )
    """


def _walk(sqlite: str, postgresql: str) -> dict[bool, TextClause]:
    """Return a statement over the lines for each database, by whether it is PostgreSQL."""
    both = {False: _WALK_OF_SQLITE + sqlite, True: _WALK_OF_POSTGRESQL + postgresql}
    parameters: list[BindParameter[Any]] = [
        bindparam("b_beginning", type_=String()),
        bindparam("b_end", type_=String()),
        bindparam("b_limit", type_=Integer()),
    ]
    return {is_postgresql: text(statement).bindparams(*parameters) for is_postgresql, statement in both.items()}


HEADS: Final = {
    is_postgresql: statement.columns(line=RUNS.c.line.type, run_id=RUNS.c.run_id.type, queued_at=Instant())
    for is_postgresql, statement in _walk(
        """
    SELECT
      among.line AS line,
      (SELECT runs.run_id FROM runs WHERE state = 'QUEUED' AND runs.line = among.line
       ORDER BY runs.queued_at, runs.run_id LIMIT 1) AS run_id,
      (SELECT runs.queued_at FROM runs WHERE state = 'QUEUED' AND runs.line = among.line
       ORDER BY runs.queued_at, runs.run_id LIMIT 1) AS queued_at
    FROM among WHERE among.line IS NOT NULL LIMIT :b_limit
    """,
        "SELECT line, run_id, queued_at FROM among LIMIT :b_limit",
    ).items()
}
NAMES: Final = _walk(
    "SELECT group_concat(line, ',') FROM (SELECT line FROM among WHERE line IS NOT NULL LIMIT :b_limit)",
    "SELECT string_agg(line, ',') FROM (SELECT line FROM among LIMIT :b_limit) AS few",
)
