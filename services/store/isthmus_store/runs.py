"""Runs: queueing, reading, locking, and saving what `transition` decided."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import bindparam, select, update

from isthmus_store import outbox
from isthmus_store.errors import UnknownRunError
from isthmus_store.events import PlacedEvent, insert_many
from isthmus_store.launch import MUST_QUEUE, insert_launched
from isthmus_store.record.event import NewEvent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import NewRun, Run
from isthmus_store.signal import Dispatched, RunSignal
from isthmus_store.state import ACTIVE_STATES, RunReason, RunState
from isthmus_store.table.run import RUN_ATTEMPTS, RUN_TAGS, RUNS
from isthmus_store.transaction import Transaction, WriteTransaction
from isthmus_store.transition import Decision, RunFacts, transition

_CHANGING = (
    "state",
    "attempt",
    "reason",
    "message",
    "agent",
    "dispatched_at",
    "accepted_at",
    "started_at",
    "ended_at",
    "failure",
    "violations",
    "end_asked_at",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inserted:
    """The run of an id, and whether this call made it."""

    run: Run
    is_new: bool
    #: Nothing was written, since others wait for the same location, or something is limited: the run has to be queued.
    must_wait: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Signaled:
    """A run before and after a signal, and what became of the signal."""

    before: Run
    run: Run
    decision: Decision


async def insert(tx: WriteTransaction, run: NewRun, *, history: Sequence[NewEvent] = ()) -> Inserted:
    """Queue a run, with the first events of its history.

    A run_id that exists already changes nothing and returns the run that is there.
    """
    queued = replace(as_queued(run), last_position=len(history))
    inserted = await _insert(tx, queued, tags=run.tags)
    if inserted.is_new:
        placed = [PlacedEvent(run.run_id, index, run.attempt, event) for index, event in enumerate(history, start=1)]
        await insert_many(tx, placed, stored_at=run.queued_at)
    return inserted


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispatching:
    """How a new run goes to an agent at once."""

    agent: str
    at: datetime
    #: The first events of its history.
    history: Sequence[NewEvent]
    #: The command that launches it.
    command: NewInstruction | None = None


async def insert_dispatched(tx: WriteTransaction, run: NewRun, how: Dispatching) -> Inserted:
    """Insert a run that goes to an agent at once, with the first events of its history, in as few statements as can be.

    The same as `insert`, a Dispatched signal, `events.append` and, for the command that launches it, `outbox.add`; a
    run_id that exists already changes nothing, and no run goes past those that wait for its location, or past a limit.
    """
    at, history, command = how.at, how.history, how.command
    queued = as_queued(run)
    decision = transition(facts(queued), Dispatched(attempt=run.attempt, agent=how.agent))
    dispatched = replace(advanced(queued, decision.facts, at=at), last_position=len(history))
    if tx.is_postgresql and command is not None:
        is_new = await insert_launched(tx, dispatched, history=history, command=command, tags=run.tags)
        return Inserted(run=dispatched, is_new=True) if is_new else await _not_inserted(tx, queued)
    if (await tx.execute(MUST_QUEUE, _place(queued, agent=how.agent))).scalar_one():
        return await _not_inserted(tx, queued)
    inserted = await _insert(tx, dispatched, tags=run.tags)
    if inserted.is_new:
        await open_attempts(tx, [dispatched])
        placed = [PlacedEvent(run.run_id, index, run.attempt, event) for index, event in enumerate(history, start=1)]
        await insert_many(tx, placed, stored_at=at)
        if command is not None:
            await outbox.add(tx, command)
    return inserted


async def _not_inserted(tx: Transaction, queued: Run) -> Inserted:
    """Say why a run was not dispatched: its id is taken, or it has to be queued."""
    found = await get(tx, queued.run_id)
    return Inserted(run=found or queued, is_new=False, must_wait=found is None)


def _place(run: Run, *, agent: str) -> Mapping[str, str]:
    return {"b_deployment": run.deployment, "b_location": run.location, "b_agent": agent}


def as_queued(run: NewRun) -> Run:
    """Return a new run as it begins: queued."""
    return Run(
        run_id=run.run_id,
        deployment=run.deployment,
        location=run.location,
        job_name=run.job_name,
        request=run.request,
        state=RunState.QUEUED,
        attempt=run.attempt,
        reason=RunReason.UNSPECIFIED,
        message=run.message,
        agent="",
        requested_by=run.requested_by,
        queued_at=run.queued_at,
        dispatched_at=None,
        accepted_at=None,
        started_at=None,
        ended_at=None,
        last_position=0,
        failure=b"",
        violations=(),
        line=run.line,
        pools=run.pools,
        root_pools=run.root_pools,
        retry_of=run.retry_of,
        retry_number=run.retry_number,
    )


async def _insert(tx: WriteTransaction, run: Run, *, tags: Mapping[str, str]) -> Inserted:
    values = {column.name: getattr(run, column.name) for column in RUNS.c}
    is_new = (await tx.execute(tx.insert_new(RUNS, "run_id"), values)).rowcount == 1
    if not is_new:
        return Inserted(run=await existing(tx, run.run_id), is_new=False)
    await _insert_tags(tx, run.run_id, tags)
    return Inserted(run=run, is_new=True)


async def _insert_tags(tx: WriteTransaction, run_id: str, tags: Mapping[str, str]) -> None:
    rows = [{"run_id": run_id, "key": key, "value": value} for key, value in tags.items()]
    if rows:
        await tx.execute(RUN_TAGS.insert(), rows)


async def get(tx: Transaction, run_id: str) -> Run | None:
    """Return the run, or None."""
    found = await tx.all(Run, _GET, {"b_run_id": run_id})
    return found[0] if found else None


async def get_many(tx: Transaction, run_ids: Collection[str]) -> dict[str, Run]:
    """Return those of the runs that exist, by id."""
    return {run.run_id: run for run in await tx.all(Run, select(RUNS).where(RUNS.c.run_id.in_(run_ids)))}


async def existing(tx: Transaction, run_id: str) -> Run:
    """Return the run.

    Raises:
        UnknownRunError: there is none.
    """
    run = await get(tx, run_id)
    if run is None:
        raise UnknownRunError(run_id=run_id)
    return run


async def tags(tx: Transaction, run_ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the tags of each of the runs; a run without tags is left out."""
    found: dict[str, dict[str, str]] = {}
    for row in await tx.execute(_TAGS, {"b_run_ids": list(run_ids)}):
        found.setdefault(row.run_id, {})[row.key] = row.value
    return found


async def lock(tx: WriteTransaction, run_ids: Collection[str]) -> dict[str, Run]:
    """Return those of the runs that exist, each held against other writers until the transaction ends.

    Rows are locked in the order of their ids, so that two callers never wait for each other in a circle. Every change of
    a run goes through here: two writers that both read first would undo each other.
    """
    return {run.run_id: run for run in await tx.all(Run, _LOCK, {"b_run_ids": sorted(run_ids)})}


async def signal(tx: WriteTransaction, run_id: str, news: RunSignal, *, at: datetime) -> Signaled:
    """Lock the run, decide what the signal does to it, and save that.

    A Dispatched that is applied also opens the attempt, so that its agent's events are believed.

    Raises:
        UnknownRunError: there is no such run.
    """
    run = (await lock(tx, [run_id])).get(run_id)
    if run is None:
        raise UnknownRunError(run_id=run_id)
    decision = transition(facts(run), news)
    if not decision.is_change:
        return Signaled(before=run, run=run, decision=decision)
    changed = advanced(run, decision.facts, at=at)
    await save(tx, [changed])
    if changed.state is RunState.DISPATCHED:
        await open_attempts(tx, [changed])
    return Signaled(before=run, run=changed, decision=decision)


async def open_attempts(tx: WriteTransaction, dispatched: Iterable[Run]) -> None:
    """Record who has the attempts of runs. Idempotent."""
    rows = [{"run_id": run.run_id, "attempt": run.attempt, "agent": run.agent, "last_seq": 0} for run in dispatched]
    if rows:
        await tx.execute(tx.insert_new(RUN_ATTEMPTS), rows)


async def save(tx: WriteTransaction, runs: Iterable[Run]) -> None:
    """Write what a signal may change of runs that this transaction locked; positions are `events`' affair."""
    rows = [{"b_run_id": run.run_id, **{f"b_{name}": getattr(run, name) for name in _CHANGING}} for run in runs]
    if rows:
        await tx.execute(_SAVE, rows)


async def save_moved(tx: WriteTransaction, runs: Iterable[Run], *, last_positions: Mapping[str, int]) -> None:
    """Write runs that this transaction locked together with where their histories end; see `save`."""
    rows = [
        {
            "b_run_id": run.run_id,
            "b_last_position": last_positions.get(run.run_id, run.last_position),
            **{f"b_{name}": getattr(run, name) for name in _CHANGING},
        }
        for run in runs
    ]
    if rows:
        await tx.execute(_SAVE_MOVED, rows)


async def vouch(tx: WriteTransaction, run_ids: Collection[str], *, at: datetime) -> None:
    """Record that someone vouches for the runs; one that has ended is passed over."""
    table = RUNS
    statement = update(table).where(table.c.run_id.in_(sorted(run_ids)), table.c.ended_at.is_(None))
    await tx.execute(statement.values(vouched_at=at))


async def ask_end_again(tx: WriteTransaction, run_id: str, *, at: datetime) -> None:
    """Note that the end of a run, which the caller has locked, is asked for once more."""
    await tx.execute(update(RUNS).where(RUNS.c.run_id == run_id).values(end_asked_at=at))


async def active(tx: Transaction, *, deployment: str | None = None, agent: str | None = None) -> list[Run]:
    """Return runs that were dispatched and have not ended, oldest first."""
    statement = select(RUNS).where(RUNS.c.ended_at.is_(None), RUNS.c.state.in_(ACTIVE_STATES))
    if deployment is not None:
        statement = statement.where(RUNS.c.deployment == deployment)
    if agent is not None:
        statement = statement.where(RUNS.c.agent == agent)
    return await tx.all(Run, statement.order_by(RUNS.c.queued_at, RUNS.c.run_id))


def facts(run: Run) -> RunFacts:
    """Return what `transition` has to know of a run."""
    return RunFacts(
        state=run.state,
        attempt=run.attempt,
        agent=run.agent,
        is_accepted=run.accepted_at is not None,
        is_started=run.started_at is not None,
        reason=run.reason,
        message=run.message,
        failure=run.failure,
        violations=run.violations,
        is_followed=run.retried_by is not None,
    )


def advanced(run: Run, after: RunFacts, *, at: datetime, started_at: datetime | None = None) -> Run:
    """Return the run with decided facts: a fact that became true is dated `at`, a start `started_at` if that is known."""
    is_dispatch = after.state is RunState.DISPATCHED and (run.state, run.attempt) != (after.state, after.attempt)
    return replace(
        run,
        state=after.state,
        attempt=after.attempt,
        agent=after.agent,
        reason=after.reason,
        message=after.message,
        failure=after.failure,
        violations=after.violations,
        dispatched_at=at if is_dispatch else run.dispatched_at,
        accepted_at=(run.accepted_at or at) if after.is_accepted else None,
        started_at=(run.started_at or started_at or at) if after.is_started else None,
        ended_at=_ended_at(run, after, at) if after.state.is_terminal else None,
        end_asked_at=_end_asked_at(run, after, at),
    )


def _end_asked_at(run: Run, after: RunFacts, at: datetime) -> datetime | None:
    if after.state is RunState.DISPATCHED:
        return None
    is_asked = after.state is RunState.CANCELING and (run.state, run.reason) != (after.state, after.reason)
    return at if is_asked else run.end_asked_at


def _ended_at(run: Run, after: RunFacts, at: datetime) -> datetime:
    # One that was believed lost ended when it said so itself.
    return run.ended_at if run.ended_at is not None and run.state is after.state else at


_SAVE = (
    update(RUNS)
    .where(RUNS.c.run_id == bindparam("b_run_id"))
    .values({name: bindparam(f"b_{name}") for name in _CHANGING})
)
# Built once: a statement that is built for each call costs more than the databases take to answer it.
_GET = select(RUNS).where(RUNS.c.run_id == bindparam("b_run_id"))
_TAGS = select(RUN_TAGS).where(RUN_TAGS.c.run_id.in_(bindparam("b_run_ids", expanding=True))).order_by(RUN_TAGS.c.key)
_LOCK = (
    select(RUNS)
    .where(RUNS.c.run_id.in_(bindparam("b_run_ids", expanding=True)))
    .order_by(RUNS.c.run_id)
    .with_for_update()
)
_SAVE_MOVED = (
    update(RUNS)
    .where(RUNS.c.run_id == bindparam("b_run_id"))
    .values({name: bindparam(f"b_{name}") for name in (*_CHANGING, "last_position")})
)
