"""Runs that are queued together: in a statement for each table, however many they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from isthmus_store import events, runs
from isthmus_store.record.event import NewEvent
from isthmus_store.record.run import NewRun
from isthmus_store.runs import Inserted
from isthmus_store.table.run import RUN_TAGS, RUNS
from isthmus_store.transaction import WriteTransaction


@dataclass(frozen=True, slots=True)
class Intake:
    """A run to be queued, with the first events of its history."""

    run: NewRun
    history: Sequence[NewEvent] = ()


async def queue(tx: WriteTransaction, intakes: Sequence[Intake], *, at: datetime) -> list[Inserted]:
    """Queue runs of different ids, in their order; the same as `runs.insert` for each of them."""
    if not intakes:
        return []
    queued = [replace(runs.as_queued(it.run), last_position=len(it.history)) for it in intakes]
    rows = [{column.name: getattr(run, column.name) for column in RUNS.c} for run in queued]
    insertion = tx.insert_new(RUNS, "run_id").returning(RUNS.c.run_id)
    inserted = set((await tx.execute(insertion, rows)).scalars())
    new = [it for it in intakes if it.run.run_id in inserted]
    labels = [{"run_id": it.run.run_id, "key": key, "value": value} for it in new for key, value in it.run.tags.items()]
    if labels:
        await tx.execute(RUN_TAGS.insert(), labels)
    placed = [
        events.PlacedEvent(it.run.run_id, index, it.run.attempt, event)
        for it in new
        for index, event in enumerate(it.history, start=1)
    ]
    await events.insert_many(tx, placed, stored_at=at)
    taken = [run.run_id for run in queued if run.run_id not in inserted]
    known = await runs.get_many(tx, taken) if taken else {}
    return [Inserted(run=known.get(run.run_id, run), is_new=run.run_id in inserted) for run in queued]
