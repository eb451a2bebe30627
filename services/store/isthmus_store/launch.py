"""A launch as one statement of PostgreSQL: run, attempt, tags, first events, their index and the command, all or nothing.

One statement, which needs no BEGIN and COMMIT around it, is one round trip instead of eight on the way between a call and
the user's code.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import ARRAY, CTE, Executable, Table, bindparam, exists, func, insert, literal_column, or_, select, true
from sqlalchemy.dialects import postgresql

from isthmus_store.record.event import Fact, NewEvent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import Run
from isthmus_store.table.event import EVENT_INDEX, EVENTS
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.table.queue import PAUSES, QUEUE_SETTINGS
from isthmus_store.table.run import RUN_ATTEMPTS, RUN_TAGS, RUNS
from isthmus_store.transaction import WriteTransaction

_DEPLOYMENT: Final = bindparam("b_deployment", type_=RUNS.c.deployment.type)
_LOCATION: Final = bindparam("b_location", type_=RUNS.c.location.type)
_AGENT: Final = bindparam("b_agent", type_=RUNS.c.agent.type)
#: Whether a run waits for a location. The state is a literal: for a parameter no database would use the partial index.
HAS_WAITING: Final = (
    select(RUNS.c.run_id)
    .where(
        RUNS.c.state == literal_column("'QUEUED'"),
        RUNS.c.deployment == _DEPLOYMENT,
        RUNS.c.location == _LOCATION,
    )
    # In the index's order: otherwise PostgreSQL may look through all runs for one.
    .order_by(RUNS.c.queued_at, RUNS.c.run_id)
    .limit(1)
)
#: Whether something is limited or paused in a deployment: the queue knows what that means for a run.
_HAS_LIMITS: Final = or_(
    exists().where(QUEUE_SETTINGS.c.deployment == _DEPLOYMENT, QUEUE_SETTINGS.c.is_limiting),
    exists().where(PAUSES.c.deployment == _DEPLOYMENT),
)
#: So many launches of a location are on their way to an agent at a time: dispatched, and not accepted yet. What is directly
#: ahead of another location's launch in the agent's queue costs that a quarter of a millisecond each.
MOST_ON_THE_WAY: Final = 200
#: Whether as many launches of a location are on their way to an agent as may be.
_HAS_FULL_WAY: Final = (
    select(RUNS.c.run_id)
    .where(
        RUNS.c.state == literal_column("'DISPATCHED'"),
        RUNS.c.deployment == _DEPLOYMENT,
        RUNS.c.location == _LOCATION,
        RUNS.c.agent == _AGENT,
    )
    .order_by(RUNS.c.queued_at, RUNS.c.run_id)
    .offset(literal_column(str(MOST_ON_THE_WAY - 1)))
    .limit(1)
    .exists()
)
_HAS_TO_WAIT: Final = or_(HAS_WAITING.exists(), _HAS_LIMITS, _HAS_FULL_WAY)
#: Whether a launch has to go through the queue.
MUST_QUEUE: Final = select(_HAS_TO_WAIT)
#: What the database itself fills in.
_COUNTED: Final = "position"
_OPEN: Final = ("sent_at", "settled_at", "outcome")
_COMMAND_COLUMNS: Final = tuple(column.name for column in INSTRUCTIONS.c if column.name not in {_COUNTED, *_OPEN})
_ATTEMPT_COLUMNS: Final = ("run_id", "attempt", "agent", "last_seq")
#: What a launch may have several rows of, and the columns that it writes.
_LISTED: Final[Mapping[Table, Sequence[str]]] = {
    EVENTS: tuple(column.name for column in EVENTS.c),
    EVENT_INDEX: (
        "deployment",
        "kind",
        "asset",
        "partition",
        "check_name",
        "outcome",
        "run_id",
        "position",
        "occurred_at",
    ),
    RUN_TAGS: tuple(column.name for column in RUN_TAGS.c),
}


async def insert_launched(
    tx: WriteTransaction, run: Run, *, history: Sequence[NewEvent], command: NewInstruction, tags: Mapping[str, str]
) -> bool:
    """Insert a dispatched run with all that belongs to it; `history` is stored as of its dispatch.

    Returns False, having written nothing, when its id is taken, or when it has to be queued: see `MUST_QUEUE`.
    """
    values = {f"run_{column.name}": getattr(run, column.name) for column in RUNS.c}
    values |= {"b_deployment": run.deployment, "b_location": run.location, "b_agent": run.agent}
    values |= {f"attempt_{name}": getattr(run, name, 0) for name in _ATTEMPT_COLUMNS}
    values |= {f"command_{name}": getattr(command, name) for name in _COMMAND_COLUMNS}
    events = [_event(run, position, event) for position, event in enumerate(history, start=1)]
    facts = [_fact(run, position, event) for position, event in enumerate(history, start=1) if event.fact is not None]
    labels: list[Mapping[str, Any]] = [
        {"run_id": run.run_id, "key": key, "value": value} for key, value in tags.items()
    ]
    parts: dict[Table, list[Mapping[str, Any]]] = {EVENTS: events, EVENT_INDEX: facts, RUN_TAGS: labels}
    written = tuple(table for table, rows in parts.items() if rows)
    for table in written:
        values |= {f"{table.name}_{name}": [row[name] for row in parts[table]] for name in _LISTED[table]}
    statement = _statement(written)
    return (await tx.execute(statement, values)).first() is not None


def _event(run: Run, position: int, event: NewEvent) -> Mapping[str, Any]:
    return {
        "run_id": run.run_id,
        "position": position,
        "attempt": run.attempt,
        "seq": event.seq,
        "kind": event.kind,
        "step_key": event.step_key,
        "occurred_at": event.occurred_at,
        "stored_at": run.dispatched_at,
        "body": event.body,
    }


def _fact(run: Run, position: int, event: NewEvent) -> Mapping[str, Any]:
    fact = event.fact or Fact()
    return {
        "deployment": run.deployment,
        "kind": event.kind,
        "asset": fact.asset,
        "partition": fact.partition,
        "check_name": fact.check_name,
        "outcome": fact.outcome,
        "run_id": run.run_id,
        "position": position,
        "occurred_at": event.occurred_at,
    }


@cache
def _statement(tables: tuple[Table, ...]) -> Executable:
    """Build the statement for a launch that writes rows of these tables besides its own."""
    names = [column.name for column in RUNS.c]
    row = select(*(bindparam(f"run_{column.name}", type_=column.type) for column in RUNS.c)).where(~_HAS_TO_WAIT)
    new_run = (
        postgresql.insert(RUNS)
        .from_select(names, row)
        .on_conflict_do_nothing(index_elements=["run_id"])
        .returning(RUNS.c.run_id)
        .cte("new_run")
    )
    parts = [
        _dependent(RUN_ATTEMPTS, _ATTEMPT_COLUMNS, prefix="attempt", new_run=new_run),
        _dependent(INSTRUCTIONS, _COMMAND_COLUMNS, prefix="command", new_run=new_run),
        *(_dependents(table, _LISTED[table], new_run=new_run) for table in tables),
    ]
    return select(new_run.c.run_id).add_cte(*parts)


def _dependent(table: Table, names: Sequence[str], *, prefix: str, new_run: CTE) -> CTE:
    """Insert a row, if the run is new."""
    values = [bindparam(f"{prefix}_{name}", type_=table.c[name].type) for name in names]
    row = select(*values).select_from(new_run)
    return insert(table).from_select(list(names), row).cte(f"{prefix}_row")


def _dependents(table: Table, names: Sequence[str], *, new_run: CTE) -> CTE:
    """Insert rows in their order, if the run is new. Each column comes as an array."""
    arrays = [bindparam(f"{table.name}_{name}", type_=ARRAY(table.c[name].type)) for name in names]
    given = func.unnest(*arrays).table_valued(*names, with_ordinality="place", name="given").render_derived()
    rows = select(*(given.c[name] for name in names)).select_from(new_run.join(given, true())).order_by(given.c.place)
    return insert(table).from_select(list(names), rows).cte(f"{table.name}_rows")
