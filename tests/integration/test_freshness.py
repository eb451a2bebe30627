"""How fresh assets are, on a real control plane with both databases: told when it changes, by nobody's look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_store import asset_freshness, event_index
from isthmus_store.fact import asset_text
from support.eventually import eventually

ORDERS, SALES = (pb.AssetKey(path=[name]) for name in ("orders", "sales"))
_HOURLY = pb.FreshnessPolicySnapshot(kind="time_window", fail_after_s=3600, warn_after_s=1800)
_WITH_POLICY = pb.LocationSnapshot(
    assets=[
        pb.AssetSnapshot(key=ORDERS, is_executable=True, freshness=_HOURLY),
        pb.AssetSnapshot(key=SALES, is_executable=True),
    ]
)


@pytest.fixture
async def stand(broker_url: str, database_url: str) -> AsyncIterator[Stand]:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply("sales")
        await stand.hear()
        await stand.report("sales", snapshot=_WITH_POLICY)
        yield stand


async def made(stand: Stand, *, ago: timedelta) -> None:
    event = pb.Event(asset_materialized=pb.AssetMaterialized(asset=ORDERS))
    at = datetime.now(UTC) - ago
    event.occurred_at.FromDatetime(at)
    async with stand.database.write() as tx:
        await event_index.add_runless(tx, event, deployment="default", at=at)


async def states(stand: Stand) -> dict[str, str]:
    async with stand.database.read() as tx:
        return {it.asset: it.state for it in await asset_freshness.all_of(tx)}


async def _is_told(stand: Stand, state: str) -> None:
    async def is_so() -> bool:
        return await states(stand) == {asset_text(["orders"]): state}

    await eventually(is_so, within=60)


async def test_a_state_is_told_when_it_changes_and_then_no_more(stand: Stand) -> None:
    await made(stand, ago=timedelta(minutes=45))
    await _is_told(stand, "WARNING")
    asset = (await stand.stub.GetAsset(api.GetAssetRequest(key=ORDERS))).asset
    assert asset.freshness == api.ASSET_FRESHNESS_WARNING
    assert asset.HasField("freshness_since")
    left = asset.freshness_until.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(minutes=10) < left <= timedelta(minutes=15)
    # A moment before it is too old.
    await made(stand, ago=timedelta(minutes=59, seconds=58))
    await _is_told(stand, "FAILING")
    await stand.stub.ReportAssetEvent(
        api.ReportAssetEventRequest(materialized=pb.AssetMaterialized(asset=ORDERS), requested_by="ada")
    )
    await _is_told(stand, "PASSING")
    await stand.stub.WipeAsset(api.WipeAssetRequest(key=ORDERS))
    await _is_told(stand, "UNKNOWN")
    assert not (await stand.stub.GetAsset(api.GetAssetRequest(key=SALES))).asset.freshness


async def test_each_change_is_an_event_for_who_reads_on(stand: Stand) -> None:
    async with stand.database.read() as tx:
        before = await event_index.newest_id(tx)
    await made(stand, ago=timedelta(minutes=45))
    await _is_told(stand, "WARNING")
    async with stand.database.read() as tx:
        news = await event_index.news(tx, after_id=before, limit=10)
    assert [(it.kind, it.asset) for it in news] == [
        ("asset_materialized", asset_text(["orders"])),
        (asset_freshness.FRESHNESS_CHANGED, asset_text(["orders"])),
    ]


async def test_a_policy_that_leaves_the_code_takes_its_state_along(stand: Stand) -> None:
    await made(stand, ago=timedelta(minutes=45))
    await _is_told(stand, "WARNING")
    await stand.apply("sales", env={"GENERATION": "2"})
    plain = pb.LocationSnapshot(assets=[pb.AssetSnapshot(key=ORDERS, is_executable=True)])
    await stand.report("sales", generation=2, snapshot=plain)

    async def is_gone() -> bool:
        return await states(stand) == {}

    await eventually(is_gone, within=90)
