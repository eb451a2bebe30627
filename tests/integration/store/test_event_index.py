"""The index over events, dynamic partitions and run searches, on both databases."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from isthmus.v1.telemetry_pb2 import AssetKey, Event
from isthmus_store import applied_queries, check_index, dynamic_partitions, event_index, events, run_search, runs
from isthmus_store.check_index import CheckQuery
from isthmus_store.database import Database
from isthmus_store.event_index import EventQuery, PartitionQuery
from isthmus_store.events import new_event
from isthmus_store.fact import asset_text
from isthmus_store.record.run import NewRun
from isthmus_store.run_search import RunSearch

MATERIALIZED = frozenset({"asset_materialized"})


def materialized(asset: str, partition: str = "") -> Event:
    event = Event()
    event.asset_materialized.asset.path.append(asset)
    event.asset_materialized.partition = partition
    return event


def checked(kind: str, *, is_passed: bool = True) -> Event:
    event = Event()
    body = event.asset_check_planned if kind == "planned" else event.asset_check_evaluated
    body.asset.CopyFrom(AssetKey(path=["orders"]))
    body.check_name = "is_whole"
    if kind == "evaluated":
        event.asset_check_evaluated.is_passed = is_passed
    return event


async def told(
    database: Database, now: datetime, *stored: Event, deployment: str = "prod", tags: dict[str, str] | None = None
) -> str:
    """Store a run of these events."""
    run_id = str(uuid4())
    new = NewRun(
        run_id=run_id,
        deployment=deployment,
        location="etl",
        job_name="nightly",
        request=b"",
        queued_at=now,
        tags=tags or {},
    )
    async with database.write() as tx:
        await runs.insert(tx, new)
        await events.append(tx, run_id, attempt=1, events=[new_event(it) for it in stored], stored_at=now)
    return run_id


async def partitions_of(database: Database, **fields: object) -> list[str]:
    query = PartitionQuery(deployment="prod", kind="asset_materialized", asset=asset_text(["orders"]), **fields)  # type: ignore[arg-type]
    async with database.read() as tx:
        return [it.partition for it in await event_index.newest_of_partitions(tx, query)]


async def found(database: Database, **fields: object) -> Sequence[event_index.IndexedEvent]:
    query = EventQuery(deployment="prod", kinds=MATERIALIZED, limit=10, **fields)  # type: ignore[arg-type]
    async with database.read() as tx:
        return await event_index.find(tx, query)


async def test_the_newest_event_of_each_asset_is_found_and_no_other_deployments(
    database: Database, now: datetime
) -> None:
    await told(database, now, materialized("orders"), materialized("users"))
    last = await told(database, now, materialized("orders"))
    await told(database, now, materialized("orders"), materialized("foreign"), deployment="staging")
    async with database.read() as tx:
        names = [asset_text([name]) for name in ("orders", "users", "never")]
        newest = await event_index.newest(tx, deployment="prod", assets=names, kinds=MATERIALIZED)
        assets = await event_index.assets(tx, deployment="prod")
    assert len(newest) == 2
    assert max(newest, key=lambda it: it.id).run_id == last
    assert assets == [asset_text(["orders"]), asset_text(["users"])]


async def test_more_assets_than_one_statement_asks_for(database: Database, now: datetime) -> None:
    names = [f"asset{number:03}" for number in range(250)]
    await told(database, now, *(materialized(name) for name in names))
    async with database.read() as tx:
        texts = [asset_text([name]) for name in names]
        newest = await event_index.newest(tx, deployment="prod", assets=texts, kinds=MATERIALIZED)
        assert len(newest) == len(names)
        assert await event_index.assets(tx, deployment="prod") == texts


async def test_partitions_are_told_by_their_newest_event_within_bounds(database: Database, now: datetime) -> None:
    await told(database, now, *(materialized("orders", key) for key in ("a", "b", "c", "a")), materialized("orders"))
    ids = [it.id for it in await found(database, is_ascending=True)]
    assert await partitions_of(database) == ["a", "b", "c"]
    assert await partitions_of(database, after_id=ids[1]) == ["a", "c"]
    assert await partitions_of(database, before_id=ids[2]) == ["a", "b"]
    assert await partitions_of(database, partitions=frozenset({"b", "z"})) == ["b"]


async def test_events_are_found_in_both_directions_and_by_id(database: Database, now: datetime) -> None:
    await told(database, now, *(materialized("orders", key) for key in ("a", "b", "c")))
    forwards = await found(database, is_ascending=True)
    assert [it.id for it in await found(database)] == [it.id for it in forwards][::-1]
    assert [it.id for it in await found(database, after_id=forwards[0].id, is_ascending=True)] == [
        it.id for it in forwards[1:]
    ]
    assert [it.id for it in await found(database, ids=frozenset({forwards[1].id}))] == [forwards[1].id]
    assert not await found(database, job_names=frozenset({"another"}))


async def test_a_plan_of_a_check_counts_until_it_is_evaluated(database: Database, now: datetime) -> None:
    await told(database, now, checked("planned"), checked("evaluated", is_passed=False))
    await told(database, now, checked("planned"))
    fields = {"deployment": "prod", "asset": asset_text(["orders"]), "check_name": "is_whole", "limit": 5}
    async with database.read() as tx:
        every = await check_index.executions(tx, CheckQuery(**fields))  # type: ignore[arg-type]
        failed = await check_index.executions(tx, CheckQuery(outcomes=frozenset({"FAILED"}), **fields))  # type: ignore[arg-type]
    assert [it.outcome for it in every] == ["PLANNED", "FAILED"]
    assert [it.outcome for it in failed] == ["FAILED"]


async def test_dynamic_partitions_keep_the_order_in_which_they_were_added(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await dynamic_partitions.add(tx, ["b", "a", "b"], deployment="prod", name="tenants", at=now)
        await dynamic_partitions.add(tx, ["a", "c"], deployment="prod", name="tenants", at=now)
        await dynamic_partitions.remove(tx, ["b", "never"], deployment="prod", name="tenants")
    async with database.read() as tx:
        assert await dynamic_partitions.keys(tx, deployment="prod", name="tenants") == ["a", "c"]
        assert await dynamic_partitions.keys(tx, deployment="prod", name="tenants", among=["c", "z"]) == ["c"]
        assert await dynamic_partitions.keys(tx, deployment="staging", name="tenants") == []


async def test_a_query_is_applied_once_until_it_is_forgotten(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        assert await applied_queries.is_new(tx, "q-1", at=now)
        assert not await applied_queries.is_new(tx, "q-1", at=now + timedelta(minutes=59))
        assert await applied_queries.is_new(tx, "q-1", at=now + timedelta(minutes=61))


@pytest.mark.parametrize("is_ascending", [True, False])
async def test_runs_are_found_page_by_page(database: Database, now: datetime, *, is_ascending: bool) -> None:
    made = [await told(database, now + timedelta(seconds=number), tags={"n": str(number)}) for number in range(3)]
    wanted = made if is_ascending else made[::-1]
    async with database.read() as tx:
        first = await run_search.find(tx, RunSearch(deployment="prod", limit=2, is_ascending=is_ascending))
        after = first[-1].run_id
        rest = await run_search.find(
            tx, RunSearch(deployment="prod", limit=2, is_ascending=is_ascending, after_run_id=after)
        )
        tagged = RunSearch(deployment="prod", limit=9, tags={"n": frozenset({"0", "2"})})
        assert await run_search.count(tx, tagged) == 2
    assert [it.run_id for it in (*first, *rest)] == wanted


async def test_tags_are_put_over_those_that_are_there(database: Database, now: datetime) -> None:
    run_id = await told(database, now, tags={"team": "red"})
    async with database.write() as tx:
        await run_search.add_tags(tx, run_id, {"team": "blue", "new": "1"})
    async with database.read() as tx:
        assert (await runs.tags(tx, [run_id]))[run_id] == {"team": "blue", "new": "1"}
        values = await run_search.tag_values(tx, deployment="prod", keys=frozenset({"team"}), value_prefix="b", limit=5)
    assert values == [("team", "blue")]
