"""Reads how far a run came."""

from typing import Final

from isthmus.v1.telemetry_pb2 import Event

from isthmus_store import events
from isthmus_store.events import RunEventQuery
from isthmus_store.record.run import Run
from isthmus_store.retry.reexecution import KINDS, Course
from isthmus_store.transaction import Transaction

#: Events that are read at once.
_PAGE: Final = 1000


async def read_course(tx: Transaction, run: Run) -> Course:
    """Return how far the steps of a run's last attempt came."""
    read: list[Event] = []
    position = 0
    while True:  # pauses: the store is asked for the next page
        query = RunEventQuery(run_id=run.run_id, after_position=position, kinds=KINDS, limit=_PAGE)
        page = await events.of_run(tx, query)
        read += [Event.FromString(stored.body) for stored in page.events if stored.attempt == run.attempt]
        if not page.has_more:
            return Course.of(read)
        position = page.events[-1].position
