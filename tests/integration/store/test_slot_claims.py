"""Claims for slots of pools on both databases: which of them count, and what becomes of them."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from isthmus_store import queue_count, runs, slot_claims
from isthmus_store.database import Database
from isthmus_store.record.queue import PoolUse, SlotClaim
from isthmus_store.record.run import AttemptRef, NewRun
from isthmus_store.signal import Dispatched, Failed
from isthmus_store.state import RunReason

A, B = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"


async def dispatched(database: Database, now: datetime, *run_ids: str, pools: tuple[str, ...] = ("db",)) -> None:
    async with database.write() as tx:
        for run_id in run_ids:
            new = NewRun(
                run_id=run_id,
                deployment="prod",
                location="etl",
                job_name="nightly",
                request=b"",
                queued_at=now,
                line="etl",
                pools=pools,
            )
            await runs.insert(tx, new)
            await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=now)


def claim(run_id: str, now: datetime, *, step: str = "load", retry: int = 0) -> SlotClaim:
    return SlotClaim(
        run_id=run_id,
        attempt=1,
        step_key=step,
        retry_number=retry,
        deployment="prod",
        pool="db",
        priority=-3,
        wanted_at=now,
        room=2,
    )


async def test_a_claim_keeps_its_place_and_its_slot_when_it_is_made_again(database: Database, now: datetime) -> None:
    await dispatched(database, now, A, B)
    first = claim(A, now)
    async with database.write() as tx:
        await slot_claims.lock(tx)
        await slot_claims.want(tx, [first, claim(A, now, step="other")])
        await slot_claims.grant(tx, [first], at=now)
        await slot_claims.want(tx, [claim(A, now + timedelta(hours=1), retry=1)])
    async with database.read() as tx:
        assert await slot_claims.live(tx, "staging") == []
        assert await slot_claims.live(tx, "prod") == [
            replace(first, retry_number=1, granted_at=now),
            replace(claim(A, now, step="other"), room=1),
        ]
        assert (await queue_count.read(tx, ())).uses == (PoolUse(deployment="prod", pool="db", granted=1, waiting=1),)


async def test_a_slot_is_freed_by_its_own_try_and_no_earlier_one(database: Database, now: datetime) -> None:
    await dispatched(database, now, A)
    ref = AttemptRef(A, 1)
    async with database.write() as tx:
        await slot_claims.want(tx, [claim(A, now, retry=1)])
        assert await slot_claims.free(tx, ref, [("load", 0), ("nothing", 9)]) == 0
        assert await slot_claims.free(tx, AttemptRef(A, 2), [("load", 1)]) == 0
        assert await slot_claims.free(tx, ref, [("load", 1)]) == 1
        assert await slot_claims.live(tx, "prod") == []


async def test_claims_of_a_run_that_ended_or_went_on_to_another_attempt_count_for_nothing(
    database: Database, now: datetime
) -> None:
    await dispatched(database, now, A, B)
    async with database.write() as tx:
        await slot_claims.want(tx, [claim(A, now), claim(B, now)])
        await slot_claims.mark(tx, [A, B])
        await slot_claims.mark(tx, [B])
        await runs.signal(tx, A, Failed(attempt=1, reason=RunReason.PROCESS_KILLED), at=now)
        await runs.signal(tx, B, Dispatched(attempt=2, agent="lab"), at=now)
        assert await slot_claims.live(tx, "prod") == []
        assert (await queue_count.read(tx, ())).uses == ()
        assert len(await slot_claims.of_run(tx, AttemptRef(B, 1))) == 1
        await slot_claims.sweep(tx)
        assert await slot_claims.of_run(tx, AttemptRef(B, 1)) == []
        assert [(it.line, it.claiming) for it in (await queue_count.read(tx, ())).claiming] == [("etl", 1)]


async def test_runs_whose_steps_claim_nothing_hold_slots_as_a_whole(database: Database, now: datetime) -> None:
    await dispatched(database, now, A, B, pools=("db", "gpu"))
    async with database.write() as tx:
        assert await slot_claims.whole_runs(tx, "prod") == Counter(db=2, gpu=2)
        await slot_claims.mark(tx, [B])
        assert await slot_claims.whole_runs(tx, "prod") == Counter(db=1, gpu=1)
        assert await slot_claims.whole_runs(tx, "staging") == Counter()
        assert [run.run_id for run in await slot_claims.whole_holders(tx, "prod", pool="gpu")] == [A]
        assert await slot_claims.whole_holders(tx, "prod", pool="cpu") == []
