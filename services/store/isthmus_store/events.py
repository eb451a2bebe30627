"""The event log: appended to, read after a position, never changed."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from isthmus.v1.telemetry_pb2 import Event, RunRef
from sqlalchemy import Executable, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from isthmus_store import event_index
from isthmus_store.column import to_microseconds
from isthmus_store.errors import UnknownRunError
from isthmus_store.fact import fact_of
from isthmus_store.record.event import NewEvent, StoredEvent
from isthmus_store.record.run import Attempt, AttemptRef
from isthmus_store.table.event import EVENTS
from isthmus_store.table.run import RUN_ATTEMPTS, RUNS
from isthmus_store.transaction import Transaction, WriteTransaction
from isthmus_store.wire import moment, stamp, storable

#: Events that are read at once have no more bytes, unless one alone has: memory of whoever reads, and of each watcher.
MAX_PAGE_BYTES = 4 * 1024**2
#: The kind of an event whose body this release does not know.
UNKNOWN_KIND = "unknown"


async def append(
    tx: WriteTransaction, run_id: str, *, attempt: int, events: Sequence[NewEvent], stored_at: datetime
) -> list[int]:
    """Append events to a run's history and return their positions. Locks the run's row.

    Nothing is taken for a duplicate here: what comes by telemetry goes through `insert_many`.

    Raises:
        UnknownRunError: there is no such run.
    """
    reserved = (
        update(RUNS)
        .where(RUNS.c.run_id == run_id)
        .values(last_position=RUNS.c.last_position + len(events))
        .returning(RUNS.c.last_position)
    )
    last = (await tx.execute(reserved)).scalar_one_or_none()
    if last is None:
        raise UnknownRunError(run_id=run_id)
    first = last - len(events) + 1
    placed = [PlacedEvent(run_id, first + index, attempt, event) for index, event in enumerate(events)]
    await insert_many(tx, placed, stored_at=stored_at)
    return [event.position for event in placed]


@dataclass(frozen=True, slots=True)
class PlacedEvent:
    """An event whose position in its run's history is decided."""

    run_id: str
    position: int
    attempt: int
    event: NewEvent


async def insert_many(tx: WriteTransaction, events: Sequence[PlacedEvent], *, stored_at: datetime) -> None:
    """Insert events at positions that the caller reserved by holding the runs' rows; see `save_positions`."""
    if not events:
        return
    at = to_microseconds(stored_at)
    rows = [row_of(placed, at) for placed in events]
    # Below SQLAlchemy's compiler, which would cost more per event than the databases do.
    if tx.is_postgresql:
        # One statement with an array per column, instead of one statement per row.
        columns = tuple(list(values) for values in zip(*rows, strict=True))
        await tx.connection.exec_driver_sql(_POSTGRESQL_INSERT, columns)
    else:
        await tx.connection.exec_driver_sql(_SQLITE_INSERT, rows)
    await event_index.add(
        tx, [(it.run_id, it.position, it.event, it.event.fact) for it in events if it.event.fact is not None]
    )


def row_of(placed: PlacedEvent, stored_at: int) -> tuple[str, int, int, int, str, str, int, int, bytes]:
    """Return an event's columns, as `insert_many` writes them."""
    event = placed.event
    return (
        placed.run_id,
        placed.position,
        placed.attempt,
        event.seq,
        event.kind,
        event.step_key,
        to_microseconds(event.occurred_at),
        stored_at,
        event.body,
    )


async def save_positions(tx: WriteTransaction, last_positions: dict[str, int]) -> None:
    """Write where the histories of runs end that this transaction locked."""
    rows = [{"b_run_id": run_id, "b_last_position": last} for run_id, last in sorted(last_positions.items())]
    if rows:
        await tx.execute(_SAVE_POSITION, rows)


async def attempts(tx: Transaction, run_ids: Collection[str]) -> dict[AttemptRef, Attempt]:
    """Return every attempt of the runs."""
    found = await tx.all(Attempt, _ATTEMPTS, {"b_run_ids": list(run_ids)})
    return {AttemptRef(attempt.run_id, attempt.attempt): attempt for attempt in found}


async def save_attempts(tx: WriteTransaction, changed: Iterable[Attempt]) -> None:
    """Write the last stored seq of attempts of runs that this transaction locked; new attempts are added."""
    rows = [{"run_id": it.run_id, "attempt": it.attempt, "agent": it.agent, "last_seq": it.last_seq} for it in changed]
    if rows:
        await tx.execute(_SAVE_ATTEMPTS[tx.is_postgresql], rows)


async def after(tx: Transaction, run_id: str, *, position: int, limit: int = 500) -> list[StoredEvent]:
    """Return the run's events after the position, in order: up to a number, and up to `MAX_PAGE_BYTES`, but one at least."""
    there = {"b_run_id": run_id, "b_position": position}
    if tx.is_postgresql:
        return await tx.all(StoredEvent, _PAGE_AFTER, {**there, "b_limit": limit})
    sizes = list((await tx.execute(_SIZES_AFTER, {**there, "b_limit": limit})).scalars())
    if not sizes:
        return []
    return await tx.all(StoredEvent, _AFTER, {**there, "b_limit": fitting(sizes)})


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEventQuery:
    """Which events of a run; what is left empty does not restrict."""

    run_id: str
    #: Exclusive; 0 for none.
    after_position: int = 0
    #: Exclusive; 0 for none.
    before_position: int = 0
    kinds: frozenset[str] = frozenset()
    limit: int
    is_descending: bool = False


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, and whether there are more behind them."""

    events: list[StoredEvent]
    has_more: bool


async def of_run(tx: Transaction, query: RunEventQuery) -> EventPage:
    """Return events of a run, in order, or from the last one backwards.

    A page has fewer than asked for where they have more bytes than `MAX_PAGE_BYTES`, but one at least.
    """
    conditions = [EVENTS.c.run_id == query.run_id, EVENTS.c.position > query.after_position]
    if query.before_position:
        conditions.append(EVENTS.c.position < query.before_position)
    if query.kinds:
        conditions.append(EVENTS.c.kind.in_(sorted(query.kinds)))
    order = EVENTS.c.position.desc() if query.is_descending else EVENTS.c.position.asc()
    ahead = select(func.length(EVENTS.c.body)).where(*conditions).order_by(order).limit(query.limit + 1)
    sizes = list((await tx.execute(ahead)).scalars())
    count = fitting(sizes[: query.limit])
    if not count:
        return EventPage([], has_more=False)
    found = await tx.all(StoredEvent, select(EVENTS).where(*conditions).order_by(order).limit(count))
    return EventPage(found, has_more=len(sizes) > count)


def fitting(sizes: Sequence[int]) -> int:
    """Return how many of the first events a page takes, by their sizes: one at least."""
    left = MAX_PAGE_BYTES
    for count, size in enumerate(sizes):
        left -= size
        if left < 0:
            return max(count, 1)
    return len(sizes)


async def count(tx: Transaction, run_id: str) -> int:
    """Return how many events the run has."""
    return int((await tx.execute(select(func.count()).where(EVENTS.c.run_id == run_id))).scalar_one())


def own(ref: AttemptRef, *, at: datetime, message: str = "") -> Event:
    """Begin an event of an attempt that this side tells. Without a seq: that counts what the attempt's code server says."""
    return Event(run=RunRef(run_id=ref.run_id, attempt=ref.attempt), occurred_at=stamp(at), message=message)


def note(ref: AttemptRef, *, text: str, at: datetime) -> NewEvent:
    """Tell of something that the run's course does not depend on, as of a sensor that acted on it."""
    event = own(ref, at=at, message=text)
    event.engine_event.SetInParent()
    return new_event(event)


def new_event(event: Event) -> NewEvent:
    """Return what is stored of an event, bytes and all. A time that no calendar knows becomes 1970."""
    return NewEvent(
        seq=event.seq,
        kind=event.WhichOneof("body") or UNKNOWN_KIND,
        step_key=storable(event.step_key),
        occurred_at=moment(event.occurred_at),
        body=event.SerializeToString(),
        fact=fact_of(event),
    )


_SQLITE_INSERT = """
INSERT INTO events (run_id, position, attempt, seq, kind, step_key, occurred_at, stored_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_POSTGRESQL_INSERT = """
INSERT INTO events (run_id, position, attempt, seq, kind, step_key, occurred_at, stored_at, body)
SELECT * FROM unnest(
  $1::text[], $2::bigint[], $3::int[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bytea[])
"""
# Built once; see `runs`.
_IS_AFTER = (EVENTS.c.run_id == bindparam("b_run_id"), EVENTS.c.position > bindparam("b_position"))
_SIZES_AFTER = (
    select(func.length(EVENTS.c.body)).where(*_IS_AFTER).order_by(EVENTS.c.position).limit(bindparam("b_limit"))
)
_AFTER = select(EVENTS).where(*_IS_AFTER).order_by(EVENTS.c.position).limit(bindparam("b_limit"))
# In one round trip. SQLite, where that costs little, would copy all the bodies in order to add up their sizes.
_SOME_AFTER = select(EVENTS).where(*_IS_AFTER).order_by(EVENTS.c.position).limit(bindparam("b_limit")).subquery("some")
_MEASURED = select(
    _SOME_AFTER,
    func.sum(func.length(_SOME_AFTER.c.body)).over(order_by=_SOME_AFTER.c.position).label("size_so_far"),
    func.row_number().over(order_by=_SOME_AFTER.c.position).label("number"),
).subquery("measured")
_PAGE_AFTER = (
    select(*(_MEASURED.c[column.name] for column in EVENTS.c))
    .where((_MEASURED.c.size_so_far <= MAX_PAGE_BYTES) | (_MEASURED.c.number == 1))
    .order_by(_MEASURED.c.position)
)


def _save_attempts(insert: postgresql.Insert | sqlite.Insert) -> Executable:
    return insert.on_conflict_do_update(
        index_elements=["run_id", "attempt"], set_={"last_seq": insert.excluded.last_seq}
    )


_SAVE_ATTEMPTS = {
    True: _save_attempts(postgresql.insert(RUN_ATTEMPTS)),
    False: _save_attempts(sqlite.insert(RUN_ATTEMPTS)),
}
_ATTEMPTS = select(RUN_ATTEMPTS).where(RUN_ATTEMPTS.c.run_id.in_(bindparam("b_run_ids", expanding=True)))
_SAVE_POSITION = (
    update(RUNS).where(RUNS.c.run_id == bindparam("b_run_id")).values(last_position=bindparam("b_last_position"))
)
