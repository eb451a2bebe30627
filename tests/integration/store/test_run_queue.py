"""The queue of runs on both databases: its lines, its order, and what reading it costs."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from isthmus.v1.telemetry_pb2 import Event, RunQueued
from isthmus_store import events, outbox, run_queue, runs
from isthmus_store.database import Database
from isthmus_store.events import new_event
from isthmus_store.launch import HAS_WAITING, MUST_QUEUE
from isthmus_store.outbox import Lane
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import NewRun
from isthmus_store.run_queue import Departure
from isthmus_store.signal import CancelRequested
from isthmus_store.state import RunState
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction
from sqlalchemy import Select, TextClause, TextualSelect, text

ETL = "etl"
Statement = Select[Any] | TextClause | TextualSelect


def new_run(now: datetime, *, age_s: float = 0, location: str = "etl", deployment: str = "prod") -> NewRun:
    return NewRun(
        run_id=str(uuid4()),
        deployment=deployment,
        location=location,
        job_name="nightly",
        request=b"",
        queued_at=now - timedelta(seconds=age_s),
        line=location,
    )


def command(run: NewRun, now: datetime, *, agent: str = "lab") -> NewInstruction:
    return NewInstruction(
        id=str(uuid4()),
        deployment=run.deployment,
        agent=agent,
        is_control=False,
        kind="launch_run",
        body=b"launch",
        created_at=now,
        not_after=now + timedelta(minutes=5),
        run_id=run.run_id,
        attempt=1,
    )


async def queue(database: Database, *new: NewRun) -> list[str]:
    async with database.write() as tx:
        return [(await runs.insert(tx, run)).run.run_id for run in new]


async def crowd(database: Database, now: datetime, *, locations: int, runs_each: int) -> None:
    """Queue many, in one statement."""
    queued = runs.as_queued(new_run(now))
    row = {column.name: getattr(queued, column.name) for column in RUNS.c}
    rows = [
        row
        | {
            "run_id": str(uuid4()),
            "location": f"l{number:03}",
            "line": f"l{number:03}",
            "queued_at": now + timedelta(seconds=index),
        }
        for number in range(locations)
        for index in range(runs_each)
    ]
    async with database.write() as tx:
        await tx.execute(RUNS.insert(), rows)
        if tx.is_postgresql:
            await tx.execute(text("ANALYZE runs"))


async def test_lines_are_listed_once_and_read_from_their_heads(database: Database, now: datetime) -> None:
    young, old, middle = new_run(now, age_s=1), new_run(now, age_s=9), new_run(now, age_s=5)
    reports = new_run(now, location="reports")
    await queue(database, young, old, middle, reports)
    (first_of_alpha,) = await queue(database, new_run(now, location="etl", deployment="alpha", age_s=20))
    (canceled,) = await queue(database, new_run(now, location="ended"))
    async with database.write() as tx:
        await runs.signal(tx, canceled, CancelRequested(), at=now)
    async with database.read() as tx:
        heads = await run_queue.heads(tx, limit=9)
        assert [(it.line, it.run_id) for it in heads] == [("etl", first_of_alpha), ("reports", reports.run_id)]
        assert heads[0].queued_at == now - timedelta(seconds=20)
        assert await run_queue.heads(tx, limit=1) == heads[:1]
        assert await run_queue.heads(tx, limit=9, after="etl") == heads[1:]
        assert await run_queue.names(tx, limit=9) == ["etl", "reports"]
        assert await run_queue.names(tx, limit=1) == ["etl"]
        assert await run_queue.names(tx, limit=9, before="reports") == ["etl"]
        assert [await run_queue.head(tx, line) for line in ("etl", "reports", "ended")] == [*heads, None]
        assert [run.run_id for run in await run_queue.oldest(tx, ETL, limit=3)] == [
            first_of_alpha,
            old.run_id,
            middle.run_id,
        ]


async def test_an_empty_queue_has_no_lines(database: Database) -> None:
    async with database.read() as tx:
        assert await run_queue.heads(tx, limit=2) == []
        assert await run_queue.names(tx, limit=2) == []
        assert await run_queue.oldest(tx, ETL, limit=2) == []


async def test_runs_leave_together_as_each_would_by_itself(database: Database, now: datetime) -> None:
    alone, *others = [new_run(now, age_s=9 - index) for index in range(4)]
    await queue(database, alone, *others)
    told = new_event(Event(message="dispatched"))
    async with database.write() as tx:
        await runs.signal(tx, others[2].run_id, CancelRequested(), at=now)
        await run_queue.dispatch(tx, {alone.run_id: Departure("lab", command(alone, now), told)}, at=now)
        departures = {run.run_id: Departure("lab", command(run, now), told) for run in others}
        left = await run_queue.dispatch(tx, departures, at=now)
    assert [run.run_id for run in left] == [others[0].run_id, others[1].run_id]
    async with database.read() as tx:
        expected = await runs.existing(tx, alone.run_id)
        read = [await runs.existing(tx, run.run_id) for run in left]
        stored = [await events.after(tx, run.run_id, position=0) for run in left]
        sent = await outbox.unsent(tx, Lane("prod", "lab", is_control=False), limit=10)
        attempts = await events.attempts(tx, [run.run_id for run in left])
    assert read == left
    assert replace(read[0], run_id=alone.run_id, queued_at=alone.queued_at) == expected
    assert [[event.position for event in of_run] for of_run in stored] == [[1], [1]]
    assert [it.run_id for it in sent] == [alone.run_id, *(run.run_id for run in left)]
    assert {attempt.agent for attempt in attempts.values()} == {"lab"}


async def test_no_run_is_dispatched_past_those_that_wait_for_its_location(database: Database, now: datetime) -> None:
    history = [new_event(Event(run_queued=RunQueued()))]
    await queue(database, new_run(now, age_s=1))
    late, other = new_run(now), new_run(now, location="reports")
    async with database.write() as tx:
        past = await runs.insert_dispatched(
            tx, late, runs.Dispatching(agent="lab", at=now, history=history, command=command(late, now))
        )
        free = await runs.insert_dispatched(
            tx, other, runs.Dispatching(agent="lab", at=now, history=history, command=command(other, now))
        )
    assert (past.is_new, past.must_wait, past.run.state) == (False, True, RunState.QUEUED)
    assert (free.is_new, free.must_wait, free.run.state) == (True, False, RunState.DISPATCHED)
    async with database.read() as tx:
        assert await runs.get(tx, late.run_id) is None
        assert await events.after(tx, late.run_id, position=0) == []


async def test_a_repeated_launch_finds_its_run_though_others_wait(database: Database, now: datetime) -> None:
    first = new_run(now)
    await queue(database, first)
    async with database.write() as tx:
        again = await runs.insert_dispatched(
            tx, first, runs.Dispatching(agent="lab", at=now, history=[], command=command(first, now))
        )
    assert (again.is_new, again.must_wait, again.run.run_id) == (False, False, first.run_id)


# ---------------------------------------------------------------------------------------------------------------- cost


async def test_reading_the_queue_costs_its_lines_and_what_is_asked_for(database: Database, now: datetime) -> None:
    async def cost() -> int:
        async with database.read() as tx:
            lines = await work(tx, run_queue.HEADS[tx.is_postgresql], b_beginning="", b_end="~", b_limit=100)
            lines += await work(tx, run_queue.NAMES[tx.is_postgresql], b_beginning="", b_end="~", b_limit=100)
            return lines + await work(tx, run_queue.OLDEST, b_line="l003", b_limit=5)

    await crowd(database, now, locations=10, runs_each=20)
    few = await cost()
    await crowd(database, now, locations=10, runs_each=400)
    assert await cost() <= few * 1.5


async def test_a_direct_launch_asks_for_one_row_of_the_queue(database: Database, now: datetime) -> None:
    await crowd(database, now, locations=3, runs_each=500)
    async with database.read() as tx:
        assert await work(tx, HAS_WAITING, b_deployment="prod", b_location="l001") < 40
        assert await work(tx, MUST_QUEUE, b_deployment="prod", b_location="l009", b_agent="lab") < 100


async def test_finding_commands_costs_the_lanes_and_not_what_waits(database: Database, now: datetime) -> None:
    async def fill(each: int) -> None:
        rows = [
            {**vars_of(command(new_run(now), now, agent=f"a{number}"))} for number in range(10) for _ in range(each)
        ]
        async with database.write() as tx:
            await tx.execute(INSTRUCTIONS.insert(), rows)
            if tx.is_postgresql:
                await tx.execute(text("ANALYZE instructions"))

    async def cost() -> int:
        async with database.read() as tx:
            return await work(tx, outbox.LANES)

    await fill(20)
    few = await cost()
    await fill(400)
    assert await cost() <= few * 1.5
    async with database.read() as tx:
        lanes = await outbox.lanes(tx)
        assert lanes == [Lane("prod", f"a{number}", is_control=False) for number in range(10)]
        assert len(await outbox.unsent(tx, lanes[0], limit=7)) == 7


def vars_of(new: NewInstruction) -> dict[str, Any]:
    return {name: getattr(new, name) for name in new.__slots__}


async def work(tx: Transaction, statement: Statement, **parameters: object) -> int:
    """What a statement costs: rows that PostgreSQL touched, steps that SQLite's machine made."""
    if tx.is_postgresql:
        return await _rows(tx, statement, parameters)
    return await _steps(tx, statement, parameters)


async def _rows(tx: Transaction, statement: Statement, parameters: dict[str, object]) -> int:
    bound = statement.params(**parameters) if parameters else statement
    words = bound.compile(dialect=tx.connection.dialect, compile_kwargs={"literal_binds": True})
    found = (await tx.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {words}"))).scalar_one()
    (plan,) = json.loads(found) if isinstance(found, str) else found
    return int(_touched(plan["Plan"]))


def _touched(plan: dict[str, Any]) -> float:
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return float(own + sum(_touched(inner) for inner in plan.get("Plans", ())))


async def _steps(tx: Transaction, statement: Statement, parameters: dict[str, object]) -> int:
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    # The first time compiles.
    await tx.execute(statement, parameters)
    await _watch(tx, count)
    (await tx.execute(statement, parameters)).all()
    await _watch(tx, None)
    return steps


async def _watch(tx: Transaction, count: Callable[[], int] | None) -> None:
    raw = await tx.connection.get_raw_connection()
    assert raw.driver_connection is not None
    await raw.driver_connection.set_progress_handler(count, 1)
