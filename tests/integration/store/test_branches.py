"""Branch deployments as rows, and that nothing of one is left: in no table, on both databases."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from isthmus.v1.telemetry_pb2 import Event
from isthmus_store import agents, branches, events, instigators, locations, placements, queue_settings, runs
from isthmus_store.database import Database
from isthmus_store.events import new_event
from isthmus_store.queue_settings import NewSettings
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.automation import Defined, InstigatorKey
from isthmus_store.record.branch import Branch
from isthmus_store.record.event import NewEvent
from isthmus_store.record.location import WantedLocation
from isthmus_store.record.run import NewRun
from isthmus_store.state import BackfillOutcome, BackfillState, InstigatorKind, TickStatus
from isthmus_store.table.automation import TICKS
from isthmus_store.table.backfill import BACKFILL_RUNS, BACKFILLS
from isthmus_store.table.catalog import SCHEMA
from isthmus_store.table.event import EVENTS
from isthmus_store.table.fleet import SNAPSHOT_PIECES, SNAPSHOTS
from isthmus_store.transaction import WriteTransaction
from sqlalchemy import func, insert, select

PARENT, OWN = "prod", "prod--pr-17"
#: So few at a time that each kind of row is met in a transaction of its own, and by halves.
FEW = 3


def branch(at: datetime) -> Branch:
    return Branch(
        deployment=OWN,
        parent=PARENT,
        name="pr-17",
        pool="",
        code_version=b"\x0a\x02c1",
        created_by="ci",
        created_at=at,
        expires_at=at + timedelta(days=7),
    )


async def peopled(database: Database, deployment: str, at: datetime) -> None:
    """Give a deployment an agent, a location, a run with events, a schedule with ticks, and limits."""
    async with database.write() as tx:
        await agents.insert(
            tx, NewAgent(deployment=deployment, name="lab", pool="default", broker_user="", created_at=at)
        )
        wanted = WantedLocation(deployment=deployment, name="etl", pool="default", settings=b"", wanted_by="ci")
        await locations.apply(tx, wanted, at=at)
        await placements.place(tx, deployment=deployment, location="etl", agent="lab", at=at)
        for _ in range(2):
            run_id = str(uuid4())
            new = NewRun(
                run_id=run_id,
                deployment=deployment,
                location="etl",
                job_name="nightly",
                request=b"",
                queued_at=at,
                tags={"a": "1"},
            )
            await runs.insert(tx, new)
            said = [_materialized(str(number)) for number in range(7)]
            await events.append(tx, run_id, attempt=1, events=said, stored_at=at)
        key = InstigatorKey(deployment, "etl", InstigatorKind.SCHEDULE, "nightly")
        defined = Defined(key=key, definition="d", is_running_by_default=True)
        await instigators.define(tx, [defined], at=at)
        known = await instigators.all_of(tx, deployment=deployment)
        ticks = [
            {
                "instigator_id": known[0].id,
                "at": at + timedelta(minutes=number),
                "status": TickStatus.SKIPPED,
                "attempts": 1,
                "began_at": at,
                "failure": b"",
                "evaluation": b"",
            }
            for number in range(8)
        ]
        await tx.execute(insert(TICKS), ticks)
        await backfilled(tx, deployment, at)
        limits = NewSettings(body=b"\x08\x02", is_limiting=True, changed_by="ci", changed_at=at)
        await queue_settings.save(tx, deployment, limits)


async def backfilled(tx: WriteTransaction, deployment: str, at: datetime) -> None:
    """Give it a backfill with runs."""
    made = tx.insert(BACKFILLS).values(
        deployment=deployment, backfill_id="abcdefgh", location="etl", job_name="nightly", request=b"", plan=b"",
        state=BackfillState.SUCCEEDED, max_runs=1, requested_by="", parent_id="", root_id="abcdefgh", created_at=at,
        paused_by="",
    )  # fmt: skip
    number = (await tx.execute(made.returning(BACKFILLS.c.id))).scalar_one()
    planned = {"backfill": number, "group": 0, "begin": 0, "last": "", "partitions": 1, "problem": ""}
    outcome = {"outcome": BackfillOutcome.SUCCEEDED}
    await tx.execute(
        insert(BACKFILL_RUNS),
        [{**planned, **outcome, "number": place, "first": str(place)} for place in range(5)],
    )


def _materialized(partition: str) -> NewEvent:
    event = Event()
    event.asset_materialized.asset.path.append("orders")
    event.asset_materialized.partition = partition
    return new_event(event)


async def counted(database: Database, deployment: str) -> dict[str, int]:
    """Count a deployment's rows in each table that has such."""
    found = {}
    async with database.read() as tx:
        for table in SCHEMA.sorted_tables:
            if "deployment" in table.c:
                statement = select(func.count()).select_from(table).where(table.c.deployment == deployment)
                found[table.name] = (await tx.execute(statement)).scalar_one()
    return {name: count for name, count in found.items() if count}


async def test_nothing_of_a_branch_is_left_and_nothing_of_its_parent_is_touched(
    database: Database, now: datetime
) -> None:
    await peopled(database, PARENT, now)
    await peopled(database, OWN, now)
    async with database.write() as tx:
        await branches.save(tx, branch(now))
        piece = {"deployment": OWN, "agent": "lab", "hash": "0" * 64, "piece": 0, "body": b"x", "stored_at": now}
        await tx.execute(insert(SNAPSHOT_PIECES), piece)
        shared = {"hash": "0" * 64, "body": b"", "stored_at": now, "deployment": OWN, "agent": "lab"}
        await tx.execute(insert(SNAPSHOTS), shared)
    before = await counted(database, PARENT)
    assert {"agents", "locations", "placements", "runs", "event_index", "instigators", "queue_settings"} <= set(before)

    turns, has_more = 0, True
    while has_more:
        async with database.write() as tx:
            has_more = await branches.remove_rows(tx, OWN, rows=FEW)
        turns += 1

    assert turns > 10
    assert await counted(database, PARENT) == before
    # The parent may define the same: what a snapshot is made of goes when nobody refers to it, and not with a branch.
    assert await counted(database, OWN) == {"snapshot_pieces": 1, "snapshots": 1}
    async with database.read() as tx:
        left = (await tx.execute(select(func.count()).select_from(EVENTS))).scalar_one()
        ticks = (await tx.execute(select(func.count()).select_from(TICKS))).scalar_one()
        planned = (await tx.execute(select(func.count()).select_from(BACKFILL_RUNS))).scalar_one()
    assert (left, ticks, planned) == (14, 8, 5)


async def test_a_branch_is_found_renewed_and_deleted_step_by_step(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        await branches.save(tx, branch(now))
        await branches.save(tx, replace(branch(now), code_version=b"\x0a\x02c2", expires_at=None))
        found = await branches.get(tx, parent=PARENT, name="pr-17")
        assert found is not None
        assert (found.code_version, found.expires_at, found.created_by) == (b"\x0a\x02c2", None, "ci")
        assert await branches.of_deployment(tx, OWN) == found
        assert await branches.of_deployment(tx, PARENT) is None
        assert await branches.deployments(tx) == {OWN}
        assert await branches.begin_deletion(tx, OWN, by="ana", at=now)
        assert not await branches.begin_deletion(tx, OWN, by="ben", at=now)
        await branches.release(tx, OWN, at=now)
        (gone,) = await branches.all_of(tx, parent=PARENT)
        assert (gone.deleted_by, gone.deleting_at, gone.released_at) == ("ana", now, now)


async def test_an_agent_serves_the_branches_that_it_joined_until_they_are_released(
    database: Database, now: datetime
) -> None:
    async with database.write() as tx:
        await branches.save(tx, branch(now))
        for deployment, name in ((PARENT, "lab"), (PARENT, "other"), (OWN, "lab")):
            new = NewAgent(deployment=deployment, name=name, pool="default", broker_user="", created_at=now)
            await agents.insert(tx, new)
        assert await branches.served_by(tx, parent=PARENT, agent="lab") == [OWN]
        assert await branches.served_by(tx, parent=PARENT, agent="other") == []
        assert await branches.served_by(tx, parent=OWN, agent="lab") == []
        await branches.release(tx, OWN, at=now)
        assert await branches.served_by(tx, parent=PARENT, agent="lab") == []


async def test_runs_are_asked_to_end_once(database: Database, now: datetime) -> None:
    await peopled(database, OWN, now)
    async with database.read() as tx:
        assert await branches.count_living_runs(tx, OWN) == 2
        assert len(await branches.runs_to_end(tx, OWN, limit=10)) == 2
        assert len(await branches.runs_to_end(tx, OWN, limit=1)) == 1
        assert await branches.count_living_runs(tx, PARENT) == 0
