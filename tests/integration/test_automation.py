"""Sensors of automation on a real control plane, with both databases: what is told of assets, and what is kept of decisions."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from integration.control_plane_stand import SNAPSHOT, Stand, control_plane
from integration.test_sensors import REF, Script, ended, stored
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instance_pb2
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import AssetCheckRef
from isthmus_control_plane.core import Core
from isthmus_control_plane.instance import asset_facts
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_store import event_index, event_numbers
from isthmus_store.signal import Failed
from isthmus_store.state import RunReason, TickStatus
from isthmus_store.transaction import WriteTransaction
from sqlalchemy import text
from support.eventually import eventually

RAW, CLEAN = pb.AssetKey(path=["raw"]), pb.AssetKey(path=["clean"])
TREE = pb.ConditionTree(
    nodes=[
        pb.ConditionNode(operator="and", children=2, label="eager"),
        pb.ConditionNode(operator="identity", name="any_deps_updated"),
        pb.ConditionNode(operator="not", children=1),
        pb.ConditionNode(operator="identity", name="in_progress"),
    ]
)


def automation(**fields: Any) -> pb.LocationSnapshot:
    """What a location defines that has a sensor of automation."""
    defined = pb.LocationSnapshot()
    defined.CopyFrom(SNAPSHOT)
    defined.assets[1].deps.add(path=["raw"])
    defined.assets[1].partitions.CopyFrom(pb.PartitionsSnapshot(kind="static", keys=["north", "south"]))
    values: dict[str, Any] = {"name": "watcher", "kind": "automation", "is_running_by_default": True}
    defined.sensors.append(pb.SensorSnapshot(automated_assets=[CLEAN], **values | fields))
    return defined


def decided(*, counts: tuple[int, int, int, int], cursor: str, runs: int = 0) -> pb.InstructionResult:
    body = TREE.SerializeToString(deterministic=True)
    decision = pb.AutomationDecision(
        asset=CLEAN,
        tree_sha256=sha256(body).hexdigest(),
        nodes=[pb.NodeDecision(true_count=count) for count in counts],
        requested=pb.PartitionPart(count=counts[0]),
    )
    told = pb.AutomationDecisions(decisions=[decision], trees=[TREE])
    answer = pb.SensorAnswer(
        cursor=cursor,
        runs=[pb.RequestedRun(asset_selection=[CLEAN], tags={"why": "automatic"})] * runs,
        decisions_zlib=zlib.compress(told.SerializeToString()),
    )
    return pb.InstructionResult(
        outcome=pb.InstructionResult.OUTCOME_SUCCEEDED, sensor=answer, evaluation=pb.Evaluation(duration_s=0.01)
    )


def told(kind: str, asset: pb.AssetKey, **fields: Any) -> pb.Event:
    event = pb.Event()
    body = getattr(event, kind)
    body.asset.CopyFrom(asset)
    for name, value in fields.items():
        setattr(body, name, value)
    return event


async def test_decisions_cursor_and_runs_are_written_with_the_tick(broker_url: str, database_url: str) -> None:
    script = Script(
        decided(counts=(0, 0, 1, 0), cursor="first"), decided(counts=(1, 1, 1, 0), cursor="x" * 5000, runs=1)
    )
    async with control_plane(broker_url, database_url) as stand:
        stand.snapshot = automation(minimum_interval_s=3600)
        await stand.serve()
        async with stand.answering(script):
            first = (await ended(stand))[0]
            assert (first.status, first.cursor) == (TickStatus.SKIPPED, "")
            assert script.asked[0].HasField("automation")
            # What tells of an asset above wakes it, long before its interval is over.
            run = await stand.launch()
            await stand.record(run.request.run.run_id, told("asset_materialized", RAW))
            second = (await ended(stand, count=2))[1]
            # On a busy machine the first question may be put twice.
            assert (second.status, script.asked[-1].cursor) == (TickStatus.SUCCESS, "first")
            launched = await stand.run(second.run_ids[0])
            assert launched.request.job_name == "__ASSET_JOB"
            assert [list(key.path) for key in launched.request.asset_selection] == [["clean"]]
            assert {"dagster/sensor_name": "watcher", "why": "automatic"}.items() <= dict(launched.tags).items()
            assert (await stored(stand)).cursor == "x" * 5000
        shown: api.Automation = await stand.stub.GetAutomation(REF)
        assert (shown.cursor, shown.last_tick.cursor, shown.problem) == ("", "", "")
        page: api.ListAssetEvaluationsPage = await stand.stub.ListAssetEvaluations(
            api.ListAssetEvaluationsRequest(key=CLEAN)
        )
        assert [(it.sensor, it.location, it.tick_id, it.requested.count) for it in page.evaluations] == [
            ("watcher", "sales", second.id, 1),
            ("watcher", "sales", first.id, 0),
        ]
        assert [it.reason for it in page.evaluations] == [
            "executed, since “any_deps_updated” and not “in_progress”",
            "not executed: “any_deps_updated” is not so",
        ]
        assert [(it.depth, it.condition.name) for it in page.evaluations[0].nodes][-1] == (2, "in_progress")
        only = await stand.stub.ListAssetEvaluations(
            api.ListAssetEvaluationsRequest(key=CLEAN, is_requesting_only=True, before_id=page.evaluations[0].id)
        )
        assert not only.evaluations


def both_partitions(first: str, last: str) -> pb.AssetGraphSubset:
    ranges = [pb.PartitionRange(first=first, last=last)]
    subset = pb.AssetSubset(asset=CLEAN, has_partitions=True, partition_count=2, ranges=ranges)
    return pb.AssetGraphSubset(assets=[subset])


async def test_a_backfill_that_is_asked_for_is_made_with_the_tick(broker_url: str, database_url: str) -> None:
    answer = decided(counts=(2, 2, 2, 0), cursor="moved")
    answer.sensor.runs.add(tags={"why": "automatic"}).backfill.CopyFrom(both_partitions("north", "south"))
    async with control_plane(broker_url, database_url) as stand:
        stand.snapshot = automation(minimum_interval_s=3600)
        await stand.serve()
        async with stand.answering(Script(answer)):
            tick = (await ended(stand))[0]

            async def launched() -> list[api.Run]:
                page: api.ListRunsPage = await stand.stub.ListRuns(api.ListRunsQuery())
                return list(page.runs) if len(page.runs) == 2 else []

            runs = await eventually(launched, within=30)
        assert tick.status is TickStatus.SUCCESS
        assert (await stored(stand)).cursor == "moved"
        assert {run.request.partition_key for run in runs} == {"north", "south"}
        (backfill,) = (await stand.stub.ListBackfills(api.ListBackfillsRequest())).backfills
        assert (backfill.requested_by, backfill.partitions) == ("sensor watcher", 2)
        tags = dict(runs[0].tags)
        assert tags["dagster/backfill"] == backfill.backfill_id
        assert {"dagster/sensor_name": "watcher", "why": "automatic"}.items() <= tags.items()


async def test_a_backfill_that_cannot_be_made_fails_the_tick_and_loses_nothing(
    broker_url: str, database_url: str
) -> None:
    answer = decided(counts=(2, 2, 2, 0), cursor="moved")
    answer.sensor.runs.add().backfill.CopyFrom(both_partitions("north", "west"))
    async with control_plane(broker_url, database_url) as stand:
        stand.snapshot = automation(minimum_interval_s=3600)
        await stand.serve()
        async with stand.answering(Script(answer)):
            tick = (await ended(stand))[0]
        assert tick.status is TickStatus.FAILED
        assert "unknown partition 'west'" in pb.Failure.FromString(tick.failure).message
        assert (await stored(stand)).cursor == ""
        assert not (await stand.stub.ListBackfills(api.ListBackfillsRequest())).backfills


# --------------------------------------------------------------------------------------------------------------- facts


@pytest.fixture
async def stand(broker_url: str, database_url: str) -> AsyncIterator[Stand]:
    async with control_plane(broker_url, database_url) as stand:
        stand.snapshot = automation(is_running_by_default=False)
        await stand.serve()
        yield stand


async def facts(stand: Stand, **query: Any) -> instance_pb2.AssetFacts:
    settings = ControlPlaneSettings(broker_url="amqp://nowhere", database_url="sqlite:///nowhere")
    core = Core(settings, database=stand.database, hub=WakeHub())
    async with stand.database.read() as tx:
        await event_numbers.hold_still(tx)
        return await asset_facts.find(tx, "default", instance_pb2.AssetFactsQuery(**query), core=core)


async def test_what_is_known_of_assets_is_told_at_once(stand: Stand) -> None:
    run = (await stand.launch()).request.run.run_id
    made = told("asset_materialized", CLEAN, partition="north", description="For people.")
    made.asset_materialized.metadata.add(label="rows").value.int = 7
    made.asset_materialized.tags["dagster/data_version"] = "3"
    checked = told("asset_check_evaluated", CLEAN, check_name="whole", is_passed=True)
    await stand.record(
        run,
        told("asset_planned", CLEAN, partition="north"),
        made,
        told("asset_planned", CLEAN, partition="south"),
        checked,
    )
    check = AssetCheckRef(asset=CLEAN, check_name="whole")
    found = await facts(stand, assets=[RAW, CLEAN], partitioned=[CLEAN], checks=[check])
    (clean,) = [it for it in found.assets if it.asset == CLEAN]
    event = clean.materialized.event
    assert (event.run.run_id, event.asset_materialized.partition) == (run, "north")
    assert dict(event.asset_materialized.tags) == {"dagster/data_version": "3"}
    assert not event.asset_materialized.metadata
    columns = clean.partitions
    assert list(zip(columns.keys, columns.materialized_ids, strict=True)) == [
        ("north", clean.materialized.id),
        ("south", 0),
    ]
    assert [(it.partition, it.plan.run_id) for it in columns.plans] == [("south", run)]
    assert [it.run.request.run.run_id for it in found.runs] == [run]
    assert [instance_pb2.CheckExecutionsQuery.Status.Name(it.status) for it in found.checks] == ["STATUS_SUCCEEDED"]
    assert found.newest_id >= max(it.id for it in found.checks)


async def test_a_run_that_waits_counts_as_what_it_is_to_make(stand: Stand) -> None:
    await stand.stub.Pause(api.PauseRequest(kind=api.PAUSE_KIND_DEPLOYMENT))
    one = await stand.stub.LaunchRun(api.LaunchRunRequest(location="sales", asset_selection=[CLEAN]))
    found = await facts(stand, assets=[RAW, CLEAN])
    assert [(list(it.asset.path), it.plan.run_id) for it in found.assets] == [(["clean"], one.request.run.run_id)]
    assert [it.run.state for it in found.runs] == [api.RUN_STATE_QUEUED]


async def test_what_was_made_since_is_planned_no_more_but_where_its_run_failed(stand: Stand) -> None:
    run = (await stand.launch()).request.run.run_id
    await stand.record(run, told("asset_planned", CLEAN), told("asset_materialized", CLEAN))
    assert not (await facts(stand, assets=[CLEAN])).assets[0].HasField("plan")
    failed = Failed(attempt=1, reason=RunReason.USER_ERROR)
    await stand.record(run, pb.Event(run_failed=pb.RunFailed()), signal=failed)
    assert (await facts(stand, assets=[CLEAN])).assets[0].plan.run_id == run


async def test_a_run_that_waits_plans_nothing_that_was_made_since_it_was_asked_for(stand: Stand) -> None:
    await stand.stub.Pause(api.PauseRequest(kind=api.PAUSE_KIND_DEPLOYMENT))
    for partition in ("north", "south"):
        await stand.stub.LaunchRun(
            api.LaunchRunRequest(location="sales", asset_selection=[CLEAN], partition_key=partition)
        )
    other = await stand.stub.LaunchRun(api.LaunchRunRequest(location="sales", job_name="nightly"))
    await stand.record(other.request.run.run_id, told("asset_materialized", CLEAN, partition="north"))
    (clean,) = (await facts(stand, assets=[CLEAN], partitioned=[CLEAN])).assets
    assert [it.partition for it in clean.partitions.plans] == ["south"]
    (clean,) = (await facts(stand, assets=[CLEAN])).assets
    assert not clean.HasField("plan")


async def test_events_that_are_being_written_are_waited_for_and_nobody_waits_afterwards(stand: Stand) -> None:
    database = stand.database

    async def write(tx: WriteTransaction) -> None:
        await event_index.add_runless(tx, told("asset_materialized", RAW), deployment="default", at=datetime.now(UTC))

    async def look() -> tuple[int, int]:
        async with database.read() as tx:
            await event_numbers.hold_still(tx)
            before = await event_index.newest_id(tx)
            # Whoever writes meanwhile is not held up, and not seen.
            async with database.write() as other:
                await write(other)
            return before, await event_index.newest_id(tx)

    async with asyncio.TaskGroup() as tasks, database.write() as tx:
        await write(tx)
        written = await event_index.newest_id(tx)
        if not database.is_postgresql:
            return
        looking = tasks.create_task(look())

        async def waits() -> bool:
            locks = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_index'::regclass")
            async with database.look() as seen:
                return bool((await seen.execute(locks)).scalar_one())

        await eventually(waits, within=10)
    assert looking.result() == (written, written)
