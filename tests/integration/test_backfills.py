"""Backfills at the control plane: made, bounded, paused, canceled with proof, taken up by another, and done again."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from integration.backfill_stand import DAYS, SNAPSHOT, create, launched, runs_made, signal, stand_of, standing, until
from integration.control_plane_stand import control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_store import runs
from isthmus_store.signal import Accepted, Canceled, Failed, Succeeded
from isthmus_store.state import RunReason
from support.eventually import eventually


async def test_each_partition_has_its_run_with_the_tags_of_dagster(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        made = await create(stand, is_all=False, partition_keys=DAYS[:2], requested_by="ada", tags={"why": "mended"})
        requests = {it.partition_key: it for it in await launched(agent, 2)}
        assert sorted(requests) == DAYS[:2]
        run = await stand.run(requests[DAYS[0]].run.run_id)
        assert (run.request.job_name, run.requested_by) == ("daily", "ada")
        expected = {
            "dagster/backfill": made.backfill_id,
            "dagster/partition": DAYS[0],
            "dagster/priority": "-1",
            "team": "core",
            "why": "mended",
        }
        assert dict(run.tags) == expected
        for it in requests.values():
            await signal(stand, it.run.run_id, Succeeded(attempt=1))
        ended = await until(stand, made.backfill_id, api.BACKFILL_STATE_SUCCEEDED)
        assert ended.progress == api.BackfillProgress(succeeded=2)
        assert ended.HasField("ended_at")
        detail: Any = await stand.stub.GetBackfill(api.BackfillRef(backfill_id=made.backfill_id))
        assert [it.text for it in detail.decisions] == [
            "Every run succeeded.",
            f"Runs for partitions {DAYS[0]} to {DAYS[1]} were queued.",
            "Asked for by ada.",
        ]


async def test_no_more_runs_are_unfinished_at_once_than_may_be(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        made = await create(stand, max_runs=2)
        first, second = await launched(agent, 2)
        page: Any = await stand.stub.ListBackfillRuns(api.ListBackfillRunsRequest(backfill_id=made.backfill_id))
        assert [bool(it.run_id) for it in page.runs] == [True, True] + [False] * 28
        await signal(stand, first.run.run_id, Succeeded(attempt=1))
        (third,) = await launched(agent, 1)
        assert third.partition_key == DAYS[2]
        progress = (await standing(stand, made.backfill_id)).progress
        assert progress == api.BackfillProgress(waiting=27, under_way=2, succeeded=1)
        assert second.partition_key == DAYS[1]


async def test_a_paused_backfill_makes_no_runs_until_it_is_resumed(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        made = await create(stand, is_all=False, partition_keys=DAYS[:2], max_runs=1)
        (first,) = await launched(agent, 1)
        decided = api.DecideBackfillRequest(backfill_id=made.backfill_id, requested_by="ada")
        paused: Any = await stand.stub.PauseBackfill(decided)
        assert (paused.state, paused.paused_by) == (api.BACKFILL_STATE_PAUSED, "ada")
        assert await stand.stub.PauseBackfill(decided) == paused
        await signal(stand, first.run.run_id, Succeeded(attempt=1))

        async def has_ended() -> bool:
            return (await standing(stand, made.backfill_id)).progress.succeeded == 1

        await eventually(has_ended, within=30)
        listed: Any = await stand.stub.ListBackfills(api.ListBackfillsRequest(states=[api.BACKFILL_STATE_PAUSED]))
        assert [it.backfill_id for it in listed.backfills] == [made.backfill_id]
        assert await runs_made(stand) == 1
        resumed: Any = await stand.stub.ResumeBackfill(decided)
        assert resumed.state == api.BACKFILL_STATE_RUNNING
        assert [it.partition_key for it in await launched(agent, 1)] == [DAYS[1]]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.ResumeBackfill(decided)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_canceled_is_said_when_no_run_is_left(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        made = await create(stand, is_all=False, partition_keys=DAYS[:4], max_runs=2)
        first, second = await launched(agent, 2)
        await signal(stand, first.run.run_id, Accepted(attempt=1))
        await signal(stand, second.run.run_id, Accepted(attempt=1))
        decided = api.DecideBackfillRequest(backfill_id=made.backfill_id, requested_by="ada")
        asked: Any = await stand.stub.CancelBackfill(decided)
        assert asked.state == api.BACKFILL_STATE_CANCELING
        ended = {(await agent.next("terminate_run", within=30)).terminate_run.run.run_id for _ in range(2)}
        assert ended == {first.run.run_id, second.run.run_id}
        await signal(stand, first.run.run_id, Canceled(attempt=1))

        async def is_one_left() -> bool:
            return (await standing(stand, made.backfill_id)).progress == api.BackfillProgress(under_way=1, canceled=3)

        await eventually(is_one_left, within=30)
        assert (await standing(stand, made.backfill_id)).state == api.BACKFILL_STATE_CANCELING
        # It was through before it heard of the wish.
        await signal(stand, second.run.run_id, Succeeded(attempt=1))
        over = await until(stand, made.backfill_id, api.BACKFILL_STATE_CANCELED)
        assert over.progress == api.BackfillProgress(succeeded=1, canceled=3)
        page: Any = await stand.stub.ListBackfillRuns(api.ListBackfillRunsRequest(backfill_id=made.backfill_id))
        assert [it.is_given_up for it in page.runs] == [False, False, True, True]
        assert (await stand.stub.CancelBackfill(decided)).state == api.BACKFILL_STATE_CANCELED


async def test_what_failed_is_done_again_and_nothing_else(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        made = await create(stand, is_all=False, partition_keys=DAYS[:3])
        requests = {it.partition_key: it for it in await launched(agent, 3)}
        retried = api.RetryBackfillRequest(parent_backfill_id=made.backfill_id, requested_by="ada")
        with pytest.raises(grpc.aio.AioRpcError) as early:
            await stand.stub.RetryBackfill(retried)
        assert early.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        await signal(stand, requests[DAYS[0]].run.run_id, Succeeded(attempt=1))
        await signal(stand, requests[DAYS[1]].run.run_id, Failed(attempt=1, reason=RunReason.USER_ERROR))
        await signal(stand, requests[DAYS[2]].run.run_id, Succeeded(attempt=1))
        await until(stand, made.backfill_id, api.BACKFILL_STATE_FAILED)
        again: Any = await stand.stub.RetryBackfill(retried)
        assert (again.parent_backfill_id, again.partitions) == (made.backfill_id, 1)
        (request,) = await launched(agent, 1)
        assert request.partition_key == DAYS[1]
        tags = (await stand.run(request.run.run_id)).tags
        assert tags["dagster/parent_backfill_id"] == tags["dagster/root_backfill_id"] == made.backfill_id
        await signal(stand, request.run.run_id, Succeeded(attempt=1))
        await until(stand, again.backfill_id, api.BACKFILL_STATE_SUCCEEDED)
        retried.parent_backfill_id = again.backfill_id
        with pytest.raises(grpc.aio.AioRpcError) as nothing:
            await stand.stub.RetryBackfill(retried)
        assert "nothing of backfill" in str(nothing.value.details())


async def test_a_run_that_is_retried_keeps_its_partition_open(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        made = await create(stand, is_all=False, partition_keys=DAYS[:1], tags={"dagster/max_retries": "1"})
        (first,) = await launched(agent, 1)
        await signal(stand, first.run.run_id, Failed(attempt=1, reason=RunReason.PROCESS_KILLED))
        (second,) = await launched(agent, 1)
        assert second.parent_run_id == first.run.run_id
        assert (await standing(stand, made.backfill_id)).progress == api.BackfillProgress(under_way=1)
        await signal(stand, second.run.run_id, Succeeded(attempt=1))
        await until(stand, made.backfill_id, api.BACKFILL_STATE_SUCCEEDED)
        page: Any = await stand.stub.ListBackfillRuns(api.ListBackfillRunsRequest(backfill_id=made.backfill_id))
        assert page.runs[0].run_id == second.run.run_id


async def test_another_control_plane_goes_on_where_one_ended(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url, lease_duration_s=1.0) as (stand, agent):
        made = await create(stand, max_runs=5)
        before = await launched(agent, 5)
        stand.stop.set()
        await stand.ended.wait()
        for it in before:
            async with stand.database.write() as tx:
                await runs.signal(tx, it.run.run_id, Succeeded(attempt=1), at=datetime.now(UTC))
        async with control_plane(broker_url, database_url, lease_duration_s=1.0) as other:
            seen = [it.partition_key for it in before]
            while len(seen) < len(DAYS):
                (request,) = await launched(agent, 1)
                seen.append(request.partition_key)
                await signal(other, request.run.run_id, Succeeded(attempt=1))
            assert sorted(seen) == DAYS
            ended = await until(other, made.backfill_id, api.BACKFILL_STATE_SUCCEEDED)
            assert ended.progress == api.BackfillProgress(succeeded=30)


async def test_ranges_are_told_by_tags(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        request = api.CreateBackfillRequest(
            location="sales",
            job_name="ranges",
            ranges=[pb.PartitionRange(first=DAYS[0], last=DAYS[14])],
            partition_keys=[DAYS[20]],
        )
        preview: api.BackfillPreview = await stand.stub.PreviewBackfill(request)
        assert (preview.partitions, preview.runs, preview.max_runs) == (16, 3, 1000)
        assert [(it.partitions.first, it.partitions.last) for it in preview.first_runs] == [
            (DAYS[0], DAYS[9]),
            (DAYS[10], DAYS[14]),
            (DAYS[20], DAYS[20]),
        ]
        assert await runs_made(stand) == 0
        await stand.stub.CreateBackfill(request)
        told = {
            (it.partition_key, it.tags.get("dagster/asset_partition_range_end", "")) for it in await launched(agent, 3)
        }
        assert told == {("", DAYS[9]), ("", DAYS[14]), (DAYS[20], "")}


async def test_an_id_of_ones_own_makes_one_backfill(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, _):
        made = await create(stand, backfill_id="abcdefgh", is_all=False, partition_keys=DAYS[:1])
        again = await create(stand, backfill_id="abcdefgh", is_all=False, partition_keys=DAYS[:1])
        assert (again.backfill_id, again.created_at) == ("abcdefgh", made.created_at)
        with pytest.raises(grpc.aio.AioRpcError) as other:
            await create(stand, backfill_id="abcdefgh", job_name="ranges")
        assert other.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_what_left_the_code_fails_with_its_reason_and_the_rest_is_made(
    broker_url: str, database_url: str
) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        made = await create(stand, is_all=False, partition_keys=DAYS[:2], max_runs=1)
        (first,) = await launched(agent, 1)
        changed = pb.LocationSnapshot()
        changed.CopyFrom(SNAPSHOT)
        changed.jobs[0].partitions.keys[:] = [DAYS[0]]
        await stand.report(snapshot=changed)
        await signal(stand, first.run.run_id, Succeeded(attempt=1))
        ended = await until(stand, made.backfill_id, api.BACKFILL_STATE_FAILED)
        assert ended.progress == api.BackfillProgress(succeeded=1, failed=1)
        request = api.ListBackfillRunsRequest(backfill_id=made.backfill_id, is_failed_only=True)
        (failed,) = (await stand.stub.ListBackfillRuns(request)).runs
        assert f"unknown partition '{DAYS[1]}'" in failed.problem
        assert not failed.run_id


@pytest.mark.parametrize(
    ("told", "field", "part"),
    [
        ({"job_name": "daly"}, "job_name", "did you mean 'daily'?"),
        ({"job_name": ""}, "job_name", "is missing"),
        ({"job_name": "plain"}, "job_name", "has no partitions"),
        ({"job_name": "odd"}, "partition_keys", "'MyPartitions'"),
        ({"job_name": "customers"}, "is_all", "there are no partitions yet"),
        ({"is_all": False}, "partition_keys", "name partitions or ranges"),
        ({"partition_keys": ["x"]}, "is_all", "excludes"),
        ({"is_all": False, "partition_keys": ["2031-01-01"]}, "partition_keys[0]", "unknown partition"),
        ({"is_all": False, "ranges": [pb.PartitionRange(first=DAYS[0])]}, "ranges[0].last", "is missing"),
        ({"max_runs": 1001}, "max_runs", "1 to 1,000"),
        ({"backfill_id": "Mine"}, "backfill_id", "eight lower-case letters"),
        ({"run_config_json": "["}, "run_config_json", "is not JSON"),
    ],
)
async def test_what_cannot_be_made_is_refused_by_its_field(
    broker_url: str, tmp_path: Any, told: dict[str, Any], field: str, part: str
) -> None:
    async with stand_of(broker_url, f"sqlite+aiosqlite:///{tmp_path}/isthmus.db") as (stand, _):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await create(stand, **told)
        assert part in violations_of(refused.value)[field]


async def test_a_location_that_never_served_is_said_to_be_unknown(broker_url: str, tmp_path: Any) -> None:
    async with control_plane(broker_url, f"sqlite+aiosqlite:///{tmp_path}/isthmus.db") as stand:
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await create(stand)
        assert missing.value.code() is grpc.StatusCode.NOT_FOUND
        await stand.apply()
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await create(stand)
        assert unknown.value.code() is grpc.StatusCode.UNAVAILABLE
        for call in ("GetBackfill", "CancelBackfill", "ListBackfillRuns"):
            kind = {"GetBackfill": api.BackfillRef, "CancelBackfill": api.DecideBackfillRequest}.get(
                call, api.ListBackfillRunsRequest
            )
            with pytest.raises(grpc.aio.AioRpcError) as absent:
                await getattr(stand.stub, call)(kind(backfill_id="abcdefgh"))
            assert absent.value.code() is grpc.StatusCode.NOT_FOUND
