"""The queue of runs, a line for each location: reading it costs what is asked for, however many wait.

Everything here goes along `ix_runs_queue`, which holds the runs that wait and no others. Its condition stands in the
statements as a literal: neither database uses a partial index for a state that it learns only when it executes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, literal_column, select, text

from isthmus_store import outbox, runs
from isthmus_store.events import PlacedEvent, insert_many
from isthmus_store.record.event import NewEvent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import Run
from isthmus_store.signal import Dispatched
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction, WriteTransaction
from isthmus_store.transition import transition


class Line(NamedTuple):
    """The runs that wait for one location."""

    deployment: str
    location: str


@dataclass(frozen=True, slots=True)
class Departure:
    """What goes with a run that leaves the queue: the command that launches it, and the event that tells of it."""

    agent: str
    command: NewInstruction
    event: NewEvent


async def lines(tx: Transaction) -> list[Line]:
    """Return the locations that runs wait for, by deployment and name. Costs one step along the index for each."""
    return [Line(row.deployment, row.location) for row in await tx.execute(LINES)]


async def oldest(tx: Transaction, line: Line, *, limit: int) -> list[Run]:
    """Return the runs at the head of a line, in their order."""
    return await tx.all(Run, OLDEST.limit(limit), {"b_deployment": line.deployment, "b_location": line.location})


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
    await runs.open_attempts(tx, left)
    placed = [PlacedEvent(run.run_id, run.last_position, run.attempt, departures[run.run_id].event) for run in left]
    await insert_many(tx, placed, stored_at=at)
    await outbox.add_many(tx, [departures[run.run_id].command for run in left])


IS_WAITING = RUNS.c.state == literal_column("'QUEUED'")
OLDEST = (
    select(RUNS)
    .where(IS_WAITING, RUNS.c.deployment == bindparam("b_deployment"), RUNS.c.location == bindparam("b_location"))
    .order_by(RUNS.c.queued_at, RUNS.c.run_id)
)
# From each deployment to the next, and in each from location to location: neither database skips along an index by
# itself, and SQLite compares whole rows by their first column alone.
LINES = text(
    """
    WITH RECURSIVE among (deployment) AS (
      SELECT min(deployment) FROM runs WHERE state = 'QUEUED'
      UNION ALL
      SELECT (SELECT min(runs.deployment) FROM runs WHERE state = 'QUEUED' AND runs.deployment > among.deployment)
      FROM among WHERE among.deployment IS NOT NULL
    ), head (deployment, location) AS (
      SELECT among.deployment, (
        SELECT min(runs.location) FROM runs WHERE state = 'QUEUED' AND runs.deployment = among.deployment
      ) FROM among WHERE among.deployment IS NOT NULL
      UNION ALL
      SELECT head.deployment, (
        SELECT min(runs.location) FROM runs
        WHERE state = 'QUEUED' AND runs.deployment = head.deployment AND runs.location > head.location
      ) FROM head WHERE head.location IS NOT NULL
    )
    SELECT deployment, location FROM head WHERE location IS NOT NULL ORDER BY deployment, location
    """
)
