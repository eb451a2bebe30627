"""Runs and events on both databases."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from uuid import uuid4

import pytest
from isthmus.v1.telemetry_pb2 import Event, LogMessage, RunQueued
from isthmus_store import events, run_name, run_page, runs
from isthmus_store.database import Database
from isthmus_store.errors import InvalidCursorError, UnknownRunError
from isthmus_store.events import PlacedEvent, new_event
from isthmus_store.record.run import Attempt, AttemptRef, NewRun, Run, Violation
from isthmus_store.run_page import RunCursor, RunQuery
from isthmus_store.signal import (
    Accepted,
    CancelRequested,
    Dispatched,
    LaunchRefused,
    RunSignal,
    Started,
    Succeeded,
)
from isthmus_store.state import RunReason, RunState
from isthmus_store.transition import Verdict


def new_run(now: datetime, *, run_id: str = "", age_s: float = 0.0, job_name: str = "nightly", **tags: str) -> NewRun:
    return NewRun(
        run_id=run_id or str(uuid4()),
        deployment="prod",
        location="etl",
        job_name=job_name,
        request=b"\x00request",
        queued_at=now - timedelta(seconds=age_s),
        requested_by="ann",
        tags=tags,
    )


async def queue(database: Database, run: NewRun) -> Run:
    async with database.write() as tx:
        return (await runs.insert(tx, run)).run


async def dispatched(database: Database, run: NewRun, now: datetime) -> Run:
    await queue(database, run)
    async with database.write() as tx:
        return (await runs.signal(tx, run.run_id, Dispatched(attempt=1, agent="lab"), at=now)).run


async def test_a_run_is_read_as_it_was_queued(database: Database, now: datetime) -> None:
    queued = await queue(database, new_run(now, team="blue", owner="ann"))
    async with database.read() as tx:
        read = await runs.get(tx, queued.run_id)
        tags = await runs.tags(tx, [queued.run_id])
    assert read == queued
    assert (queued.state, queued.attempt, queued.queued_at, queued.request) == (RunState.QUEUED, 1, now, b"\x00request")
    assert tags == {queued.run_id: {"owner": "ann", "team": "blue"}}


async def test_the_same_run_id_twice_is_one_run(database: Database, now: datetime) -> None:
    first = new_run(now, team="blue")
    await queue(database, first)
    async with database.write() as tx:
        again = await runs.insert(tx, new_run(now, run_id=first.run_id, job_name="other", team="red"))
    assert not again.is_new
    assert again.run.job_name == "nightly"
    async with database.read() as tx:
        assert await runs.tags(tx, [first.run_id]) == {first.run_id: {"team": "blue"}}


async def test_a_run_dispatched_at_once_is_the_same_as_one_dispatched_later(database: Database, now: datetime) -> None:
    slow, quick = new_run(now, team="blue"), new_run(now, team="blue")
    history = [new_event(Event(run_queued=RunQueued())), new_event(Event(message="dispatched"))]
    await dispatched(database, slow, now)
    async with database.write() as tx:
        await events.append(tx, slow.run_id, attempt=1, events=history, stored_at=now)
        inserted = await runs.insert_dispatched(tx, quick, runs.Dispatching(agent="lab", at=now, history=history))
        again = await runs.insert_dispatched(tx, quick, runs.Dispatching(agent="barn", at=now, history=history))
    assert (inserted.is_new, again.is_new) == (True, False)
    async with database.read() as tx:
        expected, read = await runs.existing(tx, slow.run_id), await runs.existing(tx, quick.run_id)
        attempts = await events.attempts(tx, [quick.run_id])
        assert [it.position for it in await events.after(tx, quick.run_id, position=0)] == [1, 2]
        assert await runs.tags(tx, [quick.run_id]) == {quick.run_id: {"team": "blue"}}
    assert replace(read, run_id=slow.run_id) == expected
    assert read == inserted.run == again.run
    assert attempts[read.ref].agent == "lab"


async def test_concurrent_launches_of_one_id_make_one_run(database: Database, now: datetime) -> None:
    run = new_run(now)

    async def launch() -> bool:
        async with database.write() as tx:
            return (await runs.insert(tx, run)).is_new

    assert sorted(await asyncio.gather(*(launch() for _ in range(8)))) == [False] * 7 + [True]


async def test_signals_move_a_run_and_date_what_became_true(database: Database, now: datetime) -> None:
    run = await dispatched(database, new_run(now), now)
    course: list[RunSignal] = [Accepted(attempt=1), Started(attempt=1), Succeeded(attempt=1)]
    times = [now + timedelta(seconds=second) for second in range(1, 4)]
    for at, news in zip(times, course, strict=True):
        async with database.write() as tx:
            run = (await runs.signal(tx, run.run_id, news, at=at)).run
    async with database.read() as tx:
        read = await runs.existing(tx, run.run_id)
    assert read == run
    assert (read.state, read.agent, read.dispatched_at) == (RunState.SUCCEEDED, "lab", now)
    assert [read.accepted_at, read.started_at, read.ended_at] == times


async def test_a_redundant_signal_writes_nothing(database: Database, now: datetime) -> None:
    run = await dispatched(database, new_run(now), now)
    async with database.write() as tx:
        signaled = await runs.signal(tx, run.run_id, Dispatched(attempt=1, agent="other"), at=now)
    assert (signaled.run, signaled.before) == (run, run)
    assert signaled.decision.verdict is Verdict.REDUNDANT


async def test_a_refused_launch_keeps_its_violations_and_failure(database: Database, now: datetime) -> None:
    run = await dispatched(database, new_run(now), now)
    violations = (Violation(field="run_config.ops", description="unknown 'loda'; did you mean 'load'?"),)
    refused = LaunchRefused(
        attempt=1, reason=RunReason.INVALID_REQUEST, message="bad", failure=b"\xff", violations=violations
    )
    async with database.write() as tx:
        await runs.signal(tx, run.run_id, refused, at=now)
    async with database.read() as tx:
        read = await runs.existing(tx, run.run_id)
    assert (read.state, read.reason, read.message) == (RunState.FAILED, RunReason.INVALID_REQUEST, "bad")
    assert (read.violations, read.failure) == (violations, b"\xff")


async def test_signaling_an_unknown_run_says_so(database: Database, now: datetime) -> None:
    with pytest.raises(UnknownRunError, match="no run 'nope'"):
        async with database.write() as tx:
            await runs.signal(tx, "nope", CancelRequested(), at=now)


async def test_concurrent_writers_lose_no_update(database: Database, now: datetime) -> None:
    run = await dispatched(database, new_run(now), now)
    event = new_event(Event(run_queued=RunQueued()))

    async def write(index: int) -> list[int]:
        async with database.write() as tx:
            if index % 2:
                await runs.signal(tx, run.run_id, Started(attempt=1), at=now)
            return await events.append(tx, run.run_id, attempt=1, events=[event] * 3, stored_at=now)

    positions = await asyncio.gather(*(write(index) for index in range(20)))
    assert sorted(chain.from_iterable(positions)) == list(range(1, 61))
    async with database.read() as tx:
        assert (await runs.existing(tx, run.run_id)).last_position == 60


async def test_lists_for_the_scheduler_hold_the_right_runs(database: Database, now: datetime) -> None:
    old, young = new_run(now, age_s=9), new_run(now, age_s=1)
    await queue(database, young)
    await queue(database, old)
    busy = await dispatched(database, new_run(now), now)
    ended = await dispatched(database, new_run(now), now)
    async with database.write() as tx:
        await runs.signal(tx, ended.run_id, Succeeded(attempt=1), at=now)
    async with database.read() as tx:
        assert await runs.active(tx, deployment="prod", agent="lab") == [busy]
        assert await runs.active(tx, agent="elsewhere") == []
        assert set(await runs.get_many(tx, [old.run_id, "nope"])) == {old.run_id}


# -------------------------------------------------------------------------------------------------------------- paging


async def test_pages_show_every_run_once_newest_first_while_runs_are_added(database: Database, now: datetime) -> None:
    # Several runs of one moment: the id breaks the tie.
    made = [await queue(database, new_run(now, age_s=index // 3)) for index in range(10)]
    seen: list[Run] = []
    cursor = None
    while True:
        async with database.read() as tx:
            page = await run_page.page(tx, RunQuery(deployment="prod", page_size=3, after=cursor))
        seen += page.runs
        if page.next is None:
            break
        cursor = RunCursor.decode(page.next.encode())
        await queue(database, new_run(now + timedelta(hours=1)))
    assert [run.run_id for run in seen] == [
        run.run_id for run in sorted(made, key=lambda run: (run.queued_at, run.run_id), reverse=True)
    ]


async def test_filters_restrict_together(database: Database, now: datetime) -> None:
    wanted = await queue(database, new_run(now, age_s=5, team="blue", tier="1"))
    for other in (
        new_run(now, age_s=5, team="blue"),
        new_run(now, age_s=5, team="red", tier="1"),
        new_run(now, age_s=5, job_name="hourly", team="blue", tier="1"),
        new_run(now, age_s=50, team="blue", tier="1"),
        new_run(now, age_s=0, team="blue", tier="1"),
    ):
        await queue(database, other)
    ended = await dispatched(database, new_run(now, age_s=5, team="blue", tier="1"), now)
    query = RunQuery(
        deployment="prod",
        location="etl",
        job_name="nightly",
        states=frozenset({RunState.QUEUED, RunState.RUNNING}),
        tags={"team": "blue", "tier": "1"},
        queued_after=now - timedelta(seconds=10),
        queued_before=now,
    )
    async with database.read() as tx:
        assert (await run_page.page(tx, query)).runs == (wanted,)
        assert (await run_page.page(tx, RunQuery(deployment="prod", states=frozenset({ended.state})))).runs == (ended,)
        assert (await run_page.page(tx, RunQuery(deployment="staging"))).runs == ()


@pytest.mark.parametrize("token", ["!!", "abc", "Zm9v", "é", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OnJ1bg"])
def test_a_foreign_page_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidCursorError, match="not a page token"):
        RunCursor.decode(token)


# -------------------------------------------------------------------------------------------------------------- events


async def test_events_come_back_in_order_with_their_bytes(database: Database, now: datetime) -> None:
    run = await dispatched(database, new_run(now), now)
    # A field that this release does not know must survive.
    newer = Event.FromString(Event(message="newer", step_key="a\x00b").SerializeToString() + b"\xfa\x3f\x03new")
    newer.occurred_at.FromDatetime(now)
    known = Event(log_message=LogMessage(level=20), seq=7)
    async with database.write() as tx:
        appended = [new_event(newer), new_event(known)]
        assert await events.append(tx, run.run_id, attempt=1, events=appended, stored_at=now) == [1, 2]
    async with database.read() as tx:
        first, second = await events.after(tx, run.run_id, position=0)
        assert await events.after(tx, run.run_id, position=1, limit=1) == [second]
        assert await events.after(tx, run.run_id, position=2) == []
        assert await events.count(tx, run.run_id) == 2
    assert (first.kind, second.kind, second.seq) == ("unknown", "log_message", 7)
    assert (first.step_key, first.occurred_at, first.stored_at) == ("a\ufffdb", now, now)
    assert Event.FromString(first.body) == newer
    assert b"\xfa\x3f\x03new" in first.body


async def test_a_time_beyond_the_calendar_is_kept_as_bytes_alone(now: datetime) -> None:
    event = Event()
    event.occurred_at.seconds = 2**60
    stored = new_event(event)
    assert stored.occurred_at.year == 1970
    assert Event.FromString(stored.body).occurred_at.seconds == 2**60


async def test_appending_to_an_unknown_run_is_refused(database: Database, now: datetime) -> None:
    with pytest.raises(UnknownRunError):
        async with database.write() as tx:
            await events.append(tx, "nope", attempt=1, events=[], stored_at=now)


async def test_telemetry_is_placed_in_bulk_and_attempts_remember_the_last_seq(
    database: Database, now: datetime
) -> None:
    run = await dispatched(database, new_run(now), now)
    placed = [
        PlacedEvent(run.run_id, seq, 1, new_event(Event(seq=seq, log_message=LogMessage()))) for seq in range(1, 601)
    ]
    async with database.write() as tx:
        locked = await runs.lock(tx, [run.run_id, "nope"])
        assert list(locked) == [run.run_id]
        await events.insert_many(tx, placed, stored_at=now)
        await events.save_positions(tx, {run.run_id: 600})
        await events.save_attempts(tx, [Attempt(run_id=run.run_id, attempt=1, agent="lab", last_seq=600)])
    async with database.read() as tx:
        assert (await runs.existing(tx, run.run_id)).last_position == 600
        assert (await events.attempts(tx, [run.run_id]))[AttemptRef(run.run_id, 1)].last_seq == 600
        assert [event.seq for event in await events.after(tx, run.run_id, position=590)] == list(range(591, 601))


async def test_a_page_of_events_is_bounded_in_bytes_and_has_one_at_least(database: Database, now: datetime) -> None:
    run = new_run(now)
    await queue(database, run)
    mib = 1024**2
    for size in (mib, mib, mib, 3 * mib, 9 * mib, 10):
        async with database.write() as tx:
            news = [new_event(Event(message="x" * size))]
            await events.append(tx, run.run_id, attempt=1, events=news, stored_at=now)
    position, pages = 0, list[list[int]]()
    async with database.read() as tx:
        while page := await events.after(tx, run.run_id, position=position):
            pages.append([it.position for it in page])
            position = pages[-1][-1]
        backwards = await events.of_run(tx, events.RunEventQuery(run_id=run.run_id, limit=2, is_descending=True))
    assert pages == [[1, 2, 3], [4], [5], [6]]
    assert ([it.position for it in backwards.events], backwards.has_more) == ([6], True)


async def test_a_run_is_found_by_the_beginning_of_its_id_and_by_its_place(database: Database, now: datetime) -> None:
    ids = [
        "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11",
        "0f6b3c1e-8c1e-5f43-a4a8-6f4f5f3c9d11",
        "0f7b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11",
    ]
    for age, run_id in enumerate(ids):
        await queue(database, new_run(now, run_id=run_id, age_s=age))
    async with database.read() as tx:

        async def beginning(prefix: str, *, deployment: str = "prod") -> list[str]:
            found = await run_name.beginning_with(tx, prefix, deployment=deployment, limit=5)
            return [run.run_id for run in found]

        assert await beginning("0f6b3c1e") == ids[:2]
        assert await beginning("0f6b3c1e-8c1e-5") == [ids[1]]
        assert await beginning("0f7") == [ids[2]]
        assert await beginning("0f8") == []
        assert await beginning("0f7", deployment="qa") == []
        assert [(await run_name.nth_newest(tx, place, deployment="prod")) for place in (1, 3, 4)] == [
            await runs.get(tx, ids[0]),
            await runs.get(tx, ids[2]),
            None,
        ]
