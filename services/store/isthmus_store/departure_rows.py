"""What is written of runs that leave the queue besides their own rows: attempts, events with their index, and commands.

On PostgreSQL it is one statement, which is one round trip instead of four: a run that has its slot waits for each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from isthmus_store import event_index, events, outbox, runs
from isthmus_store.column import to_microseconds
from isthmus_store.events import PlacedEvent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import Run
from isthmus_store.transaction import WriteTransaction


@dataclass(frozen=True, slots=True)
class Left:
    """A run as it stands now, the event that tells of it, and the command that launches it."""

    run: Run
    event: PlacedEvent
    command: NewInstruction


async def insert(tx: WriteTransaction, left: Sequence[Left], *, at: datetime) -> None:
    """Insert the rows of runs that this transaction let leave, in their order."""
    if not left:
        return
    if tx.is_postgresql and not any(it.event.event.fact and it.event.event.fact.asset for it in left):
        # Below SQLAlchemy's compiler, as events always are.
        await tx.connection.exec_driver_sql(_INSERT, _arrays(left, at))
        return
    await runs.open_attempts(tx, [it.run for it in left])
    await events.insert_many(tx, [it.event for it in left], stored_at=at)
    await outbox.add_many(tx, [it.command for it in left])


def _arrays(left: Sequence[Left], at: datetime) -> tuple[list[Any], ...]:
    """Return a list for each column, of one table after the other."""
    stored_at = to_microseconds(at)
    facts = [(it.event, it.event.event.fact) for it in left]
    indexed = [
        event_index.row_of(placed.run_id, placed.position, placed.event, fact)
        for placed, fact in facts
        if fact is not None
    ]
    tables: tuple[tuple[int, list[tuple[Any, ...]]], ...] = (
        (3, [(it.run.run_id, it.run.attempt, it.run.agent) for it in left]),
        (9, [events.row_of(it.event, stored_at) for it in left]),
        (8, list(indexed)),
        (10, [_command(it.command) for it in left]),
    )
    return tuple([row[index] for row in rows] for width, rows in tables for index in range(width))


def _command(it: NewInstruction) -> tuple[Any, ...]:
    return (
        it.id,
        it.deployment,
        it.agent,
        it.is_control,
        it.kind,
        it.run_id,
        it.attempt,
        it.body,
        to_microseconds(it.created_at),
        to_microseconds(it.not_after),
    )


_INSERT: Final = """
WITH attempts AS (
  INSERT INTO run_attempts (run_id, attempt, agent, last_seq)
  SELECT it.run_id, it.attempt, it.agent, 0
  FROM unnest($1::text[], $2::int[], $3::text[]) AS it (run_id, attempt, agent)
  ON CONFLICT DO NOTHING
), told AS (
  INSERT INTO events (run_id, position, attempt, seq, kind, step_key, occurred_at, stored_at, body)
  SELECT * FROM unnest(
    $4::text[], $5::bigint[], $6::int[], $7::bigint[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bytea[])
), indexed AS (
  INSERT INTO event_index (deployment, kind, asset, partition, check_name, outcome, position, occurred_at, run_id)
  SELECT runs.deployment, it.kind, it.asset, it.partition, it.check_name, it.outcome, it.position, it.occurred_at, it.run_id
  FROM unnest($13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::bigint[], $19::bigint[], $20::text[])
    WITH ORDINALITY AS it (kind, asset, partition, check_name, outcome, position, occurred_at, run_id, place)
  JOIN runs ON runs.run_id = it.run_id
  ORDER BY it.place
)
INSERT INTO instructions (id, deployment, agent, is_control, kind, run_id, attempt, body, created_at, not_after)
SELECT it.id, it.deployment, it.agent, it.is_control, it.kind, it.run_id, it.attempt, it.body, it.created_at, it.not_after
FROM unnest($21::text[], $22::text[], $23::text[], $24::bool[], $25::text[], $26::text[], $27::int[], $28::bytea[],
  $29::bigint[], $30::bigint[])
  WITH ORDINALITY AS it (id, deployment, agent, is_control, kind, run_id, attempt, body, created_at, not_after, place)
ORDER BY it.place
ON CONFLICT (id) DO NOTHING
"""
