"""What removal takes and what it leaves, on both databases."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from isthmus.v1.telemetry_pb2 import AssetKey, Event
from isthmus_store import check_index, event_index, events, outbox, runs
from isthmus_store.check_index import CheckQuery
from isthmus_store.database import Database
from isthmus_store.event_index import EventQuery, PartitionQuery
from isthmus_store.events import new_event
from isthmus_store.fact import INDEXED_KINDS, asset_text
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.run import NewRun
from isthmus_store.retention import outliving
from isthmus_store.retention import runs as old_runs
from isthmus_store.signal import Dispatched, Succeeded
from isthmus_store.state import InstructionOutcome
from isthmus_store.table.event import EVENT_INDEX, EVENTS
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.table.run import REMOVED_RUNS, RUN_ATTEMPTS, RUN_TAGS, RUNS
from sqlalchemy import func, select

ORDERS = asset_text(["orders"])


def materialized(partition: str = "", *, asset: str = "orders", note: str = "") -> Event:
    event = Event(message=note)
    event.asset_materialized.asset.path.append(asset)
    event.asset_materialized.partition = partition
    return event


def checked(*, is_planned: bool = False, is_passed: bool = True) -> Event:
    event = Event()
    body = event.asset_check_planned if is_planned else event.asset_check_evaluated
    body.asset.CopyFrom(AssetKey(path=["orders"]))
    body.check_name = "is_whole"
    if not is_planned:
        event.asset_check_evaluated.is_passed = is_passed
    return event


async def told(database: Database, at: datetime, *said: Event, is_ended: bool = True) -> str:
    """Store a run that said these things, and ended then."""
    run_id = str(uuid4())
    new = NewRun(
        run_id=run_id,
        deployment="prod",
        location="etl",
        job_name="nightly",
        request=b"",
        queued_at=at,
        tags={"team": "red"},
    )
    async with database.write() as tx:
        await runs.insert(tx, new)
        await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=at)
        await events.append(tx, run_id, attempt=1, events=[new_event(it) for it in said], stored_at=at)
        if is_ended:
            await runs.signal(tx, run_id, Succeeded(attempt=1), at=at)
    return run_id


async def remove_all(database: Database, *, before: datetime) -> list[str]:
    """Remove what is due, all at once; returns which runs."""
    async with database.read() as tx:
        due = [it.run_id for it in await old_runs.due(tx, ended_before=before, limit=100)]
    async with database.write() as tx:
        await old_runs.remove(tx, due, ended_before=before)
    return due


async def sizes(database: Database) -> dict[str, int]:
    async with database.read() as tx:
        tables = (RUNS, RUN_TAGS, RUN_ATTEMPTS, EVENTS, EVENT_INDEX, INSTRUCTIONS, REMOVED_RUNS)
        return {it.name: (await tx.execute(select(func.count()).select_from(it))).scalar_one() for it in tables}


async def newest(database: Database) -> Sequence[event_index.IndexedEvent]:
    async with database.read() as tx:
        return await event_index.newest(tx, deployment="prod", assets=[ORDERS], kinds=INDEXED_KINDS)


def instruction(run_id: str, at: datetime) -> NewInstruction:
    return NewInstruction(
        id=str(uuid4()),
        deployment="prod",
        agent="lab",
        is_control=False,
        kind="launch_run",
        body=b"PASSWORD=hunter2",
        created_at=at,
        not_after=at + timedelta(minutes=5),
        run_id=run_id,
        attempt=1,
    )


async def test_a_run_goes_with_all_that_is_its_own(database: Database, now: datetime) -> None:
    run_id = await told(database, now, Event(message="hello"), Event(message="world"))
    async with database.write() as tx:
        command = instruction(run_id, now)
        await outbox.add(tx, command)
        await outbox.settle(tx, command.id, outcome=InstructionOutcome.SUCCEEDED, at=now)
    assert await remove_all(database, before=now) == []
    assert await remove_all(database, before=now + timedelta(days=1)) == [run_id]
    assert not any((await sizes(database)).values())


async def test_neither_a_run_that_goes_on_nor_one_whose_command_has_no_result_is_removed(
    database: Database, now: datetime
) -> None:
    await told(database, now, is_ended=False)
    awaited = await told(database, now)
    command = instruction(awaited, now)
    async with database.write() as tx:
        await outbox.add(tx, command)
    later = now + timedelta(days=1)
    assert await remove_all(database, before=later) == []
    async with database.write() as tx:
        assert await old_runs.remove(tx, [awaited], ended_before=later) == 0
        await outbox.settle(tx, command.id, outcome=InstructionOutcome.EXPIRED, at=now)
    assert await remove_all(database, before=later) == [awaited]


async def test_what_a_command_said_is_forgotten_once_it_is_settled(database: Database, now: datetime) -> None:
    run_id = await told(database, now)
    command = instruction(run_id, now)
    async with database.write() as tx:
        await outbox.add(tx, command)
        await outbox.settle(tx, command.id, outcome=InstructionOutcome.SUCCEEDED, at=now)
    async with database.read() as tx:
        settled = await outbox.get(tx, command.id)
    assert settled is not None
    assert settled.body == b""


async def test_the_latest_of_an_asset_outlives_its_run_whole(database: Database, now: datetime) -> None:
    await told(database, now, materialized(note="first"))
    last = await told(database, now, materialized(note="second"))
    before = await newest(database)
    await remove_all(database, before=now + timedelta(days=1))
    assert await newest(database) == before
    assert [(it.run_id, it.job_name, it.attempt) for it in before] == [(last, "nightly", 1)]
    assert Event.FromString(before[0].body).message == "second"
    async with database.read() as tx:
        assert await event_index.assets(tx, deployment="prod") == [ORDERS]
    assert (await sizes(database))["event_index"] == 1


async def test_each_partition_keeps_its_status_and_its_event(database: Database, now: datetime) -> None:
    await told(database, now, materialized("a"), materialized("b"), materialized("a"))
    await told(database, now, materialized("c"))
    query = PartitionQuery(deployment="prod", kind="asset_materialized", asset=ORDERS)
    async with database.read() as tx:
        before = await event_index.newest_of_partitions(tx, query)
    await remove_all(database, before=now + timedelta(days=1))
    async with database.read() as tx:
        assert await event_index.newest_of_partitions(tx, query) == before
        found = await event_index.find(
            tx,
            EventQuery(
                deployment="prod",
                kinds=frozenset({"asset_materialized"}),
                ids=frozenset(it.id for it in before),
                job_names=frozenset({"nightly"}),
                limit=9,
            ),
        )
    assert [it.partition for it in before] == ["a", "b", "c"]
    assert len(found) == 3


async def test_a_check_keeps_its_last_evaluation_and_no_plan_that_was_carried_out(
    database: Database, now: datetime
) -> None:
    await told(database, now, checked(is_planned=True), checked())
    await told(database, now, checked(is_planned=True), checked(is_passed=False))
    await remove_all(database, before=now + timedelta(days=1))
    async with database.read() as tx:
        query = CheckQuery(deployment="prod", asset=ORDERS, check_name="is_whole", limit=9)
        assert [it.outcome for it in await check_index.executions(tx, query)] == ["FAILED"]


async def test_what_outlived_its_run_goes_once_it_is_superseded(database: Database, now: datetime) -> None:
    await told(database, now, materialized("a"), materialized("b"))
    await remove_all(database, before=now + timedelta(days=1))
    await told(database, now + timedelta(days=2), materialized("a"))
    async with database.read() as tx:
        look = await outliving.look(tx, after_id=0, rows=10)
    assert len(look.superseded) == 1
    async with database.write() as tx:
        await outliving.remove_superseded(tx, look.superseded)
    async with database.read() as tx:
        assert not (await outliving.look(tx, after_id=0, rows=10)).superseded
    assert (await sizes(database))["event_index"] == 2


async def test_a_large_run_goes_in_parts_and_is_resumed_where_they_ended(database: Database, now: datetime) -> None:
    said = [materialized(str(number % 3)) for number in range(10)] + [Event(message="x" * 9_000)] * 5
    run_id = await told(database, now, *said)
    later = now + timedelta(days=1)
    parts = 0
    has_more = True
    while has_more:
        async with database.write() as tx:
            has_more = await old_runs.remove_part(tx, run_id, ended_before=later, rows=4)
        parts += 1
    async with database.read() as tx:
        assert await runs.get(tx, run_id) is None
        assert await old_runs.half_removed(tx) == run_id
    assert parts == 3
    up_to = -1
    while up_to:
        async with database.read() as tx:
            up_to = await old_runs.events_up_to(tx, run_id, weight=4)
        async with database.write() as tx:
            await old_runs.remove_events(tx, run_id, up_to=up_to)
    left = {name: size for name, size in (await sizes(database)).items() if size}
    assert left == {"event_index": 3}


async def test_events_of_many_pages_weigh_as_much(database: Database, now: datetime) -> None:
    small = await told(database, now, Event(message="x"))
    large = await told(database, now, Event(message="x" * 100_000))
    async with database.read() as tx:
        due = {it.run_id: it.weight for it in await old_runs.due(tx, ended_before=now + timedelta(days=1), limit=9)}
    assert due[large] - due[small] == 24
