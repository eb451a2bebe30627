"""Wipes, on both databases: what is forgotten, what stays, and who wanted it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from isthmus.v1.telemetry_pb2 import AssetKey, Event
from isthmus_store import asset_state, asset_wipes, event_index, events, runs
from isthmus_store.asset_state import AssetSummary, PartitionsOf
from isthmus_store.asset_wipes import AssetWipe, Subject, WipeQuery, Wish
from isthmus_store.database import Database
from isthmus_store.events import new_event
from isthmus_store.fact import asset_text
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Accepted, Dispatched, Succeeded

ORDERS = asset_text(["orders"])
WHOLE = Subject(deployment="prod", asset=ORDERS)


def told(kind: str, partition: str = "", *, asset: str = "orders", **fields: Any) -> Event:
    event = Event()
    body = getattr(event, kind)
    body.asset.CopyFrom(AssetKey(path=[asset]))
    body.partition = partition
    for name, value in fields.items():
        setattr(body, name, value)
    return event


async def a_run(database: Database, now: datetime, *said: Event, is_over: bool = True) -> str:
    run_id = str(uuid4())
    new = NewRun(run_id=run_id, deployment="prod", location="etl", job_name="nightly", request=b"", queued_at=now)
    async with database.write() as tx:
        await runs.insert(tx, new)
        await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=now)
        await runs.signal(tx, run_id, Accepted(attempt=1), at=now)
        await events.append(tx, run_id, attempt=1, events=[new_event(it) for it in said], stored_at=now)
        if is_over:
            await runs.signal(tx, run_id, Succeeded(attempt=1), at=now)
    return run_id


async def wipe(database: Database, now: datetime, subject: Subject = WHOLE) -> AssetWipe:
    cleared = 0
    while True:
        async with database.write() as tx:
            part = await asset_wipes.clear_past(tx, subject, rows=2)
        cleared += part
        if part < 2:
            break
    async with database.write() as tx:
        return await asset_wipes.wipe(tx, subject, Wish(by="ada", why="wrong source", at=now), cleared=cleared)


async def summary(database: Database, asset: str = ORDERS) -> AssetSummary | None:
    async with database.read() as tx:
        return (await asset_state.summaries(tx, deployment="prod", assets=[asset])).get(asset)


async def test_a_wiped_asset_was_never_made(database: Database, now: datetime) -> None:
    made = [told("asset_materialized", key) for key in "aabbc"]
    checked = told("asset_check_evaluated", check_name="whole", is_passed=True)
    run = await a_run(database, now, told("asset_planned", "a"), *made, checked, told("asset_observed"))
    async with database.write() as tx:
        await event_index.add_runless(tx, told("asset_materialized", "d"), deployment="prod", at=now)
        await event_index.add_runless(tx, told("asset_materialized", "d"), deployment="stage", at=now)
        await event_index.add_runless(tx, told("asset_materialized", asset="other"), deployment="prod", at=now)
    wiped = await wipe(database, now)
    assert (wiped.events, wiped.wiped_by, wiped.why, wiped.partitions) == (9, "ada", "wrong source", "[]")
    assert await summary(database) is None
    assert await summary(database, asset_text(["other"])) is not None
    async with database.read() as tx:
        assert await asset_state.checks(tx, deployment="prod", assets=[ORDERS]) == []
        assert await event_index.assets(tx, deployment="prod") == [asset_text(["other"])]
        assert await event_index.assets(tx, deployment="stage") == [ORDERS]
        # The run tells as before what it did.
        assert await events.count(tx, run) == 8
        assert not await asset_wipes.is_known(tx, WHOLE)


async def test_what_is_told_afterwards_counts(database: Database, now: datetime) -> None:
    await a_run(database, now, told("asset_materialized", "a"))
    await wipe(database, now)
    await a_run(database, now, told("asset_materialized", "b"))
    found = await summary(database)
    assert found is not None
    assert found.materialized == 1


async def test_partitions_are_wiped_alone_and_without_checks(database: Database, now: datetime) -> None:
    said = [told("asset_materialized", key) for key in "aabc"]
    await a_run(database, now, *said, told("asset_check_evaluated", "a", check_name="whole", is_passed=True))
    wiped = await wipe(database, now, Subject(deployment="prod", asset=ORDERS, partitions=("a", "c", "never")))
    assert (wiped.events, wiped.partitions) == (3, '["a", "c", "never"]')
    async with database.read() as tx:
        left = await asset_state.partitions(tx, PartitionsOf(deployment="prod", asset=ORDERS, limit=10))
        (check,) = await asset_state.checks(tx, deployment="prod", assets=[ORDERS])
    assert [it.partition for it in left] == ["b"]
    assert check.evaluated_id


async def test_what_a_run_that_goes_on_is_to_make_stays_planned(database: Database, now: datetime) -> None:
    planned = [told("asset_planned"), told("asset_check_planned", check_name="whole")]
    run = await a_run(database, now, told("asset_materialized"), *planned, is_over=False)
    evaluated = told("asset_check_evaluated", check_name="whole", is_passed=True)
    await a_run(database, now, told("asset_planned"), evaluated)
    await wipe(database, now)
    found = await summary(database)
    # The newest plan was that of the run that is over.
    assert found is None
    async with database.write() as tx:
        await events.append(tx, run, attempt=1, events=[new_event(told("asset_planned"))], stored_at=now)
    await wipe(database, now)
    found = await summary(database)
    assert found is not None
    assert (found.in_progress, found.materialized_id, found.observed_id) == (1, 0, 0)


async def test_a_word_is_left_for_who_reads_on(database: Database, now: datetime) -> None:
    await a_run(database, now, told("asset_materialized"))
    async with database.read() as tx:
        before = await event_index.newest_id(tx)
    await wipe(database, now)
    async with database.read() as tx:
        (news,) = await event_index.news(tx, after_id=before, limit=10)
    assert (news.kind, news.asset, news.deployment) == (asset_wipes.WIPED, "", "prod")


async def test_wipes_are_told_newest_first_and_forgotten_when_they_are_old(database: Database, now: datetime) -> None:
    await wipe(database, now - timedelta(days=2))
    await wipe(database, now, Subject(deployment="prod", asset=asset_text(["other"])))
    async with database.read() as tx:
        both = await asset_wipes.page(tx, WipeQuery(deployment="prod", limit=10))
        one = await asset_wipes.page(tx, WipeQuery(deployment="prod", asset=ORDERS, limit=10))
        before = await asset_wipes.page(tx, WipeQuery(deployment="prod", before_id=both[0].id, limit=10))
        old = await asset_wipes.old(tx, 10, before=now - timedelta(days=1))
    assert [it.asset for it in both] == [asset_text(["other"]), ORDERS]
    assert one == before == both[1:]
    assert list(old) == [both[1].id]
    async with database.write() as tx:
        await asset_wipes.remove(tx, old)
    async with database.read() as tx:
        assert await asset_wipes.page(tx, WipeQuery(deployment="prod", limit=10)) == both[:1]
