"""Runs that are queued together, on both databases."""

from datetime import datetime, timedelta
from uuid import uuid4

from isthmus.v1.telemetry_pb2 import Event, RunQueued
from isthmus_store import events, run_intake, runs
from isthmus_store.database import Database
from isthmus_store.events import new_event
from isthmus_store.record.run import NewRun
from isthmus_store.run_intake import Intake


def intake(now: datetime, *, number: int) -> Intake:
    run = NewRun(
        run_id=str(uuid4()),
        deployment="prod",
        location="etl",
        job_name="nightly",
        request=b"",
        queued_at=now + timedelta(microseconds=number),
        line="etl",
        tags={"number": str(number)} if number else {},
        pools=("db",),
    )
    return Intake(run, [new_event(Event(run_queued=RunQueued(requested_by="ada")))])


async def test_runs_that_are_queued_together_are_as_those_that_are_queued_alone(
    database: Database, now: datetime
) -> None:
    together, alone = ([intake(now, number=number) for number in range(3)] for _ in range(2))
    async with database.write() as tx:
        queued = [it.run for it in await run_intake.queue(tx, together, at=now)]
        queued += [(await runs.insert(tx, it.run, history=it.history)).run for it in alone]
    async with database.read() as tx:
        for it, returned in zip((*together, *alone), queued, strict=True):
            assert await runs.existing(tx, it.run.run_id) == returned
            assert (await runs.tags(tx, [it.run.run_id])).get(it.run.run_id, {}) == it.run.tags
            (event,) = await events.after(tx, it.run.run_id, position=0)
            assert (event.position, event.body) == (1, it.history[0].body)


async def test_an_id_that_is_taken_keeps_its_run_and_holds_up_no_other(database: Database, now: datetime) -> None:
    first, second = intake(now, number=1), intake(now, number=2)
    async with database.write() as tx:
        (before,) = await run_intake.queue(tx, [first], at=now)
        again, new = await run_intake.queue(tx, [first, second], at=now + timedelta(hours=1))
        assert await run_intake.queue(tx, [], at=now) == []
    assert (before.is_new, again.is_new, new.is_new) == (True, False, True)
    assert again.run == before.run
    async with database.read() as tx:
        assert len(await events.after(tx, first.run.run_id, position=0)) == 1
