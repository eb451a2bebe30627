"""Backfills of assets, whose runs wait for each other."""

from typing import Any

from integration.backfill_stand import assets_of_weeks, launched, signal, stand_of, until
from isthmus.v1 import control_plane_pb2 as api
from isthmus_store.signal import Accepted, Canceled, Failed, Succeeded
from isthmus_store.state import RunReason


async def test_an_asset_waits_for_those_above_it_and_is_given_up_with_them(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        stand.snapshot = assets_of_weeks()
        await stand.report()
        request = api.CreateBackfillRequest(asset_queries=["day+"], is_all=True)
        preview: api.BackfillPreview = await stand.stub.PreviewBackfill(request)
        assert [[it.path[0] for it in group.assets] for group in preview.groups] == [["copy", "day"], ["week"]]
        made: Any = await stand.stub.CreateBackfill(request)
        first, second = await launched(agent, 2)
        assert [it.path[0] for it in first.asset_selection] == ["copy", "day"]
        await signal(stand, first.run.run_id, Succeeded(attempt=1))
        await signal(stand, second.run.run_id, Failed(attempt=1, reason=RunReason.USER_ERROR))
        ended = await until(stand, made.backfill_id, api.BACKFILL_STATE_FAILED)
        assert ended.progress == api.BackfillProgress(succeeded=1, failed=1, canceled=1)
        page: Any = await stand.stub.ListBackfillRuns(api.ListBackfillRunsRequest(backfill_id=made.backfill_id))
        assert [(it.is_given_up, it.problem) for it in page.runs][2] == (True, "what it waited for did not succeed")
        again: Any = await stand.stub.RetryBackfill(api.RetryBackfillRequest(parent_backfill_id=made.backfill_id))
        assert again.partitions == 2
        (retried,) = await launched(agent, 1)
        assert retried.partition_key == second.partition_key
        await signal(stand, retried.run.run_id, Succeeded(attempt=1))
        (week,) = await launched(agent, 1)
        assert ([it.path[0] for it in week.asset_selection], week.partition_key) == (["week"], "w1")
        await signal(stand, week.run.run_id, Succeeded(attempt=1))
        await until(stand, again.backfill_id, api.BACKFILL_STATE_SUCCEEDED)


async def test_what_waits_for_a_run_that_cannot_be_made_is_given_up(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        stand.snapshot = assets_of_weeks()
        await stand.report()
        made: Any = await stand.stub.CreateBackfill(
            api.CreateBackfillRequest(asset_queries=["day", "week"], is_all=True, max_runs=1)
        )
        (first,) = await launched(agent, 1)
        changed = assets_of_weeks()
        for asset in changed.assets:
            if len(asset.partitions.keys) > 1:
                asset.partitions.keys[:] = ["mon"]
        await stand.report(snapshot=changed)
        await signal(stand, first.run.run_id, Succeeded(attempt=1))
        ended = await until(stand, made.backfill_id, api.BACKFILL_STATE_FAILED)
        assert ended.progress == api.BackfillProgress(succeeded=1, failed=1, canceled=1)


async def test_what_is_blocked_is_given_up_when_a_backfill_is_canceled(broker_url: str, database_url: str) -> None:
    async with stand_of(broker_url, database_url) as (stand, agent):
        stand.snapshot = assets_of_weeks()
        await stand.report()
        made: Any = await stand.stub.CreateBackfill(api.CreateBackfillRequest(asset_queries=["day+"], is_all=True))
        for it in await launched(agent, 2):
            await signal(stand, it.run.run_id, Accepted(attempt=1))
        await stand.stub.CancelBackfill(api.DecideBackfillRequest(backfill_id=made.backfill_id))
        for _ in range(2):
            ended = await agent.next("terminate_run", within=30)
            await signal(stand, ended.terminate_run.run.run_id, Canceled(attempt=1))
        over = await until(stand, made.backfill_id, api.BACKFILL_STATE_CANCELED)
        assert over.progress == api.BackfillProgress(canceled=3)
