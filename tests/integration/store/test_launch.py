"""What a launch reads and writes, on both databases: the one-statement ways mean the same as the long ones."""

from datetime import datetime, timedelta
from uuid import uuid4

from isthmus.v1.telemetry_pb2 import Event, RunDispatched, RunQueued
from isthmus_store import (
    agent_load,
    agents,
    event_index,
    events,
    locations,
    outbox,
    placements,
    queue_count,
    runs,
    site,
)
from isthmus_store.database import Database
from isthmus_store.event_index import EventQuery
from isthmus_store.events import new_event
from isthmus_store.launch import MOST_ON_THE_WAY
from isthmus_store.outbox import Lane
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.location import WantedLocation
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Accepted, Succeeded
from isthmus_store.state import InstructionOutcome, RunState
from sqlalchemy import event


def new_run(now: datetime, **tags: str) -> NewRun:
    return NewRun(
        run_id=str(uuid4()),
        deployment="prod",
        location="etl",
        job_name="nightly",
        request=b"\x00request",
        queued_at=now,
        tags=tags,
    )


def launch_command(run: NewRun, now: datetime, *, agent: str = "lab") -> NewInstruction:
    return NewInstruction(
        id=str(uuid4()),
        deployment=run.deployment,
        agent=agent,
        is_control=False,
        kind="launch_run",
        body=b"\x00launch",
        created_at=now,
        not_after=now + timedelta(minutes=5),
        run_id=run.run_id,
        attempt=1,
    )


async def enroll(database: Database, now: datetime, *names: str, pool: str = "default") -> None:
    async with database.write() as tx:
        for name in names:
            await agents.insert(tx, NewAgent(deployment="prod", name=name, pool=pool, broker_user="", created_at=now))


async def apply(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await locations.apply(
            tx, WantedLocation(deployment="prod", name="etl", pool="default", settings=b"spec"), at=now
        )


async def test_a_launch_writes_run_attempt_history_and_command(database: Database, now: datetime) -> None:
    run = new_run(now, team="blue")
    command = launch_command(run, now)
    history = [new_event(Event(run_queued=RunQueued())), new_event(Event(message="dispatched"))]
    async with database.write() as tx:
        inserted = await runs.insert_dispatched(
            tx, run, runs.Dispatching(agent="lab", at=now, history=history, command=command)
        )
    async with database.read() as tx:
        read = await runs.existing(tx, run.run_id)
        attempts = await events.attempts(tx, [run.run_id])
        stored = await events.after(tx, run.run_id, position=0)
        tags = await runs.tags(tx, [run.run_id])
        unsent = await outbox.unsent(tx, Lane("prod", "lab", is_control=False), limit=100)
    assert inserted.is_new
    assert inserted.run == read
    assert (read.state, read.agent, read.dispatched_at, read.last_position) == (RunState.DISPATCHED, "lab", now, 2)
    assert attempts[read.ref].agent == "lab"
    assert [(it.position, it.body, it.stored_at) for it in stored] == [
        (index, it.body, now) for index, it in enumerate(history, start=1)
    ]
    assert tags == {run.run_id: {"team": "blue"}}
    assert [(it.id, it.run_id, it.body, it.not_after) for it in unsent] == [
        (command.id, run.run_id, command.body, command.not_after)
    ]


async def test_a_launch_indexes_its_history_in_its_order(database: Database, now: datetime) -> None:
    run = new_run(now)
    history = [
        new_event(Event(run_queued=RunQueued())),
        new_event(Event(message="not indexed")),
        new_event(Event(run_dispatched=RunDispatched(agent="lab"))),
    ]
    async with database.write_at_once() as tx:
        await runs.insert_dispatched(
            tx, run, runs.Dispatching(agent="lab", at=now, history=history, command=launch_command(run, now))
        )
    kinds = frozenset({"run_queued", "run_dispatched"})
    async with database.read() as tx:
        query = EventQuery(deployment="prod", kinds=kinds, limit=10, is_ascending=True)
        found = await event_index.find(tx, query)
        stored = await events.after(tx, run.run_id, position=0)
    assert [(it.kind, it.run_id, it.position) for it in found] == [
        ("run_queued", run.run_id, 1),
        ("run_dispatched", run.run_id, 3),
    ]
    assert [it.body for it in stored] == [it.body for it in history]


async def test_a_launch_is_one_statement_of_postgresql(database: Database, now: datetime) -> None:
    run, statements = new_run(now, team="blue", tier="1"), list[str]()
    async with database.write_at_once() as tx:
        seen_by = tx.connection.sync_connection
        event.listen(seen_by, "before_cursor_execute", lambda *about: statements.append(about[2]))
        history = [new_event(Event(run_queued=RunQueued())), new_event(Event(run_dispatched=RunDispatched()))]
        await runs.insert_dispatched(
            tx, run, runs.Dispatching(agent="lab", at=now, history=history, command=launch_command(run, now))
        )
    # The limits that SQLite asks for come first there; none of them costs a trip.
    assert len(statements) == (1 if database.is_postgresql else 7), statements
    async with database.read() as tx:
        assert await runs.tags(tx, [run.run_id]) == {run.run_id: {"team": "blue", "tier": "1"}}


async def test_a_launch_under_a_taken_id_writes_nothing(database: Database, now: datetime) -> None:
    run = new_run(now)
    async with database.write() as tx:
        await runs.insert_dispatched(
            tx, run, runs.Dispatching(agent="lab", at=now, history=[], command=launch_command(run, now))
        )
    async with database.write() as tx:
        history = [new_event(Event(message="again"))]
        command = launch_command(run, now, agent="barn")
        again = await runs.insert_dispatched(
            tx, run, runs.Dispatching(agent="barn", at=now, history=history, command=command)
        )
    assert not again.is_new
    assert again.run.agent == "lab"
    async with database.read() as tx:
        assert await events.after(tx, run.run_id, position=0) == []
        assert [it.agent for it in await outbox.unsent(tx, Lane("prod", "lab", is_control=False), limit=100)] == ["lab"]


async def test_the_first_outcome_of_a_command_stays(database: Database, now: datetime) -> None:
    run = new_run(now)
    command, later = launch_command(run, now), now + timedelta(seconds=1)
    async with database.write() as tx:
        await outbox.add(tx, command)
        await outbox.record_outcomes(
            tx, {command.id: InstructionOutcome.SUCCEEDED, "unknown": InstructionOutcome.FAILED}, at=now
        )
        await outbox.record_outcomes(tx, {command.id: InstructionOutcome.EXPIRED}, at=later)
    async with database.read() as tx:
        settled = await outbox.get(tx, command.id)
    assert settled is not None
    assert (settled.outcome, settled.settled_at, settled.sent_at) == (InstructionOutcome.SUCCEEDED, now, now)


async def test_a_site_shows_the_pool_and_the_holder(database: Database, now: datetime) -> None:
    await enroll(database, now, "barn", "lab")
    await enroll(database, now, "old", "far", pool="elsewhere")
    await apply(database, now)
    async with database.write() as tx:
        await placements.place(tx, deployment="prod", location="etl", agent="old", at=now)
    async with database.look() as tx:
        found = await site.get(tx, deployment="prod", location="etl")
        expected = [await agents.get(tx, deployment="prod", name=name) for name in ("barn", "lab", "old")]
        location = await locations.get(tx, deployment="prod", name="etl")
        held = await placements.all_of(tx, deployment="prod", location="etl")
    assert found is not None
    assert list(found.agents) == expected
    assert found.location == location
    assert list(found.placements) == held
    assert [it.agent for it in held] == ["old"]


async def test_a_site_without_agents_is_a_site(database: Database, now: datetime) -> None:
    await apply(database, now)
    async with database.look() as tx:
        found = await site.get(tx, deployment="prod", location="etl")
    assert found is not None
    assert (found.location.name, found.agents, found.placements) == ("etl", (), ())


async def test_a_location_that_was_removed_has_no_site(database: Database, now: datetime) -> None:
    await apply(database, now)
    async with database.write() as tx:
        await locations.remove(tx, deployment="prod", name="etl", at=now)
    async with database.look() as tx:
        assert await site.get(tx, deployment="prod", location="etl") is None
        assert await site.get(tx, deployment="prod", location="never") is None


async def place(database: Database, now: datetime, *names: str) -> None:
    async with database.write() as tx:
        for name in names:
            await placements.place(tx, deployment="prod", location="etl", agent=name, at=now)


async def dispatch(database: Database, now: datetime, *, agent: str = "lab") -> runs.Inserted:
    run = new_run(now)
    command = launch_command(run, now, agent=agent)
    async with database.write() as tx:
        return await runs.insert_dispatched(tx, run, runs.Dispatching(agent=agent, at=now, history=[], command=command))


async def loads(database: Database) -> dict[str, int]:
    async with database.read() as tx:
        found = await site.get(tx, deployment="prod", location="etl")
    assert found is not None
    return dict(found.loads)


async def test_the_runs_of_agents_are_counted_where_a_location_has_several(database: Database, now: datetime) -> None:
    await enroll(database, now, "lab", "edge", "spare")
    await apply(database, now)
    await place(database, now, "lab")
    run_ids = [(await dispatch(database, now)).run.run_id for _ in range(3)]
    await dispatch(database, now, agent="spare")
    # There is nothing to choose.
    assert await loads(database) == {}
    await place(database, now, "edge")
    await dispatch(database, now, agent="edge")
    assert await loads(database) == {"lab": 3, "edge": 1}
    async with database.write() as tx:
        await runs.signal(tx, run_ids[0], Accepted(attempt=1), at=now)
        await runs.signal(tx, run_ids[1], Accepted(attempt=1), at=now)
        await runs.signal(tx, run_ids[1], Succeeded(attempt=1), at=now)
    assert await loads(database) == {"lab": 2, "edge": 1}
    async with database.read() as tx:
        assert await agent_load.under_way(tx) == {("prod", "lab"): 2, ("prod", "edge"): 1, ("prod", "spare"): 1}


async def test_each_agent_of_a_location_is_sent_so_many_launches_at_a_time(database: Database, now: datetime) -> None:
    for _ in range(MOST_ON_THE_WAY):
        assert not (await dispatch(database, now)).must_wait
    assert (await dispatch(database, now)).must_wait
    assert not (await dispatch(database, now, agent="edge")).must_wait
    async with database.read() as tx:
        counted = (await queue_count.read(tx, ["prod"])).on_the_way
    assert {(it.location, it.agent): it.runs for it in counted} == {("etl", "lab"): MOST_ON_THE_WAY, ("etl", "edge"): 1}
