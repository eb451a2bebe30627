"""Backfills and their runs, on both databases."""

from datetime import datetime, timedelta

from isthmus_store import backfills, runs
from isthmus_store.backfills import BackfillQuery, Move, RunsOf
from isthmus_store.database import Database
from isthmus_store.record.backfill import Backfill, BackfillDecision, NewBackfill, PlannedRun
from isthmus_store.record.run import NewRun
from isthmus_store.signal import CancelRequested
from isthmus_store.state import BackfillOutcome, BackfillState, RunState


def new(now: datetime, *, backfill_id: str = "abcdefgh", count: int = 3) -> NewBackfill:
    return NewBackfill(
        deployment="default",
        backfill_id=backfill_id,
        location="etl",
        job_name="load",
        request=b"asked",
        plan=b"plan",
        max_runs=10,
        requested_by="ada",
        created_at=now,
        runs=[PlannedRun(number=it, first=f"{it}", last=f"{it}", partitions=1) for it in range(1, count + 1)],
    )


async def made(database: Database, now: datetime, **told: object) -> Backfill:
    async with database.write() as tx:
        found = await backfills.create(tx, new(now, **told))  # type: ignore[arg-type]
    assert found is not None
    return found


async def queued(database: Database, now: datetime, run_id: str) -> None:
    run = NewRun(
        run_id=run_id, deployment="default", location="etl", job_name="load", request=b"", queued_at=now, tags={}
    )
    async with database.write() as tx:
        await runs.insert(tx, run)


async def test_an_id_is_good_for_one_backfill(database: Database, now: datetime) -> None:
    it = await made(database, now, count=2_500)
    assert (it.state, it.request, it.ended_at) == (BackfillState.RUNNING, b"asked", None)
    async with database.write() as tx:
        assert await backfills.create(tx, new(now)) is None
    async with database.read() as tx:
        assert await backfills.unfinished(tx) == [it]
        (count,) = (await backfills.counts(tx, [it.id]))[it.id]
    assert (count.outcome, count.runs, count.partitions) == (BackfillOutcome.WAITING, 2_500, 2_500)


async def test_runs_move_on_and_are_told_apart(database: Database, now: datetime) -> None:
    it = await made(database, now)
    await queued(database, now, "run-1")
    async with database.write() as tx:
        (first,) = await backfills.waiting(tx, it.id, limit=1)
        assert first.number == 1
        await backfills.move(tx, it.id, [Move(number=1, outcome=BackfillOutcome.UNDER_WAY, run_id="run-1")])
        refused = Move(number=2, outcome=BackfillOutcome.FAILED, run_id=None, problem="no such job")
        await backfills.move(tx, it.id, [refused])
    async with database.read() as tx:
        (under_way,) = await backfills.under_way(tx, it.id)
        assert (under_way.run_id, under_way.state, under_way.retried_by) == ("run-1", RunState.QUEUED, None)
        assert [one.number for one in await backfills.waiting(tx, it.id, limit=9)] == [3]
        assert await backfills.has_unmet(tx, it.id)
        whole = await backfills.runs_of(tx, RunsOf(backfill=it.id, limit=9))
        (failed,) = await backfills.runs_of(tx, RunsOf(backfill=it.id, is_failed_only=True, limit=9))
        (behind,) = await backfills.runs_of(tx, RunsOf(backfill=it.id, after=2, limit=9))
    assert [one.state for one in whole] == [RunState.QUEUED, None, None]
    assert (failed.number, failed.problem) == (2, "no such job")
    assert behind.number == 3


async def test_what_is_to_be_done_again_leaves_out_what_came_back(database: Database, now: datetime) -> None:
    it = await made(database, now)
    for number in (1, 2):
        await queued(database, now, f"run-{number}")
    async with database.write() as tx:
        await runs.signal(tx, "run-1", CancelRequested(), at=now)
        moves = [
            Move(number=number, outcome=BackfillOutcome.FAILED, run_id=f"run-{number}" if number < 3 else None)
            for number in (1, 2, 3)
        ]
        await backfills.move(tx, it.id, moves)
        # The second one is not over after all.
        assert [one.number for one in await backfills.unmet(tx, it.id)] == [1, 3]


async def test_what_is_given_up_is_not_made(database: Database, now: datetime) -> None:
    it = await made(database, now)
    async with database.write() as tx:
        await backfills.move(tx, it.id, [Move(number=1, outcome=BackfillOutcome.UNDER_WAY, run_id="run-1")])
        assert await backfills.give_up(tx, it.id) == 2
        assert await backfills.waiting(tx, it.id, limit=9) == []
        (gone,) = await backfills.under_way(tx, it.id)
    assert gone.state is None


async def test_pages_are_told_newest_first_by_state_and_pause(database: Database, now: datetime) -> None:
    first, second, third = [await made(database, now, backfill_id=f"aaaaaaa{it}") for it in "abc"]
    async with database.write() as tx:
        await backfills.set_paused(tx, second.id, at=now, by="ada")
        await backfills.set_state(tx, third.id, BackfillState.FAILED, at=now)
    async with database.read() as reading:

        async def ids(**told: object) -> list[int]:
            query = BackfillQuery(deployment="default", limit=9, **told)  # type: ignore[arg-type]
            return [it.id for it in await backfills.page(reading, query)]

        assert await ids() == [third.id, second.id, first.id]
        assert await ids(before=second.id) == [first.id]
        running = frozenset({BackfillState.RUNNING})
        assert await ids(states=running) == [second.id, first.id]
        assert await ids(states=running, is_paused=True) == [second.id]
        assert await ids(states=running | {BackfillState.FAILED}, is_paused=False) == [third.id, first.id]
        assert await ids(job_name="other") == []


async def test_what_ended_long_ago_goes_with_its_decisions(database: Database, now: datetime) -> None:
    old, live = await made(database, now), await made(database, now, backfill_id="bbbbbbbb")
    async with database.write() as tx:
        await backfills.note(tx, old.id, BackfillDecision(at=now, text="why", runs=1))
        await backfills.set_state(tx, old.id, BackfillState.SUCCEEDED, at=now)
    later = now + timedelta(days=1)
    async with database.write() as tx:
        (decision,) = await backfills.decisions(tx, old.id, limit=9)
        assert decision.text == "why"
        assert await backfills.old(tx, 9, ended_before=now) == []
        keys = await backfills.old_runs(tx, 2, ended_before=later)
        assert {key.backfill for key in keys} == {old.id}
        await backfills.remove_runs(tx, keys)
        assert len(await backfills.old_runs(tx, 9, ended_before=later)) == 1
        await backfills.remove(tx, await backfills.old(tx, 9, ended_before=later))
        assert [it.id for it in await backfills.unfinished(tx)] == [live.id]
        assert await backfills.decisions(tx, old.id, limit=9) == []
        assert await backfills.runs_of(tx, RunsOf(backfill=old.id, limit=9)) == []
