"""The catalog of assets on a real control plane, with both databases: over all locations, and how each asset fares."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from integration.control_plane_stand import Stand, control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb

RAW, CLEAN, REPORT = (pb.AssetKey(path=[name]) for name in ("raw", "clean", "report"))
LOAD = pb.LocationSnapshot(
    jobs=[pb.JobSnapshot(name="nightly")],
    assets=[
        pb.AssetSnapshot(key=RAW, is_executable=True, group="sales", kinds=["python"], owners=["team:core"]),
        pb.AssetSnapshot(
            key=CLEAN,
            is_executable=True,
            deps=[RAW],
            description="Without doubles.",
            partitions=pb.PartitionsSnapshot(kind="static", keys=["north", "south"]),
            checks=[pb.AssetCheckSnapshot(name="whole")],
        ),
    ],
)
TELL = pb.LocationSnapshot(
    assets=[
        pb.AssetSnapshot(key=CLEAN, is_stub=True),
        pb.AssetSnapshot(key=REPORT, is_executable=True, deps=[CLEAN], group="sales"),
    ]
)


@pytest.fixture
async def stand(broker_url: str, database_url: str) -> AsyncIterator[Stand]:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply("sales")
        await stand.apply("telling")
        await stand.hear()
        await stand.report("sales", snapshot=LOAD)
        await stand.report("telling", snapshot=TELL)
        yield stand


def told(kind: str, asset: pb.AssetKey, **fields: Any) -> pb.Event:
    event = pb.Event()
    body = getattr(event, kind)
    body.asset.CopyFrom(asset)
    for name, value in fields.items():
        setattr(body, name, value)
    return event


async def listed(stand: Stand, **fields: Any) -> list[str]:
    page: api.ListAssetsPage = await stand.stub.ListAssets(api.ListAssetsRequest(**fields))
    return ["/".join(it.key.path) for it in page.assets]


async def test_assets_of_all_locations_are_one_graph(stand: Stand) -> None:
    assert await listed(stand) == ["clean", "raw", "report"]
    assert await listed(stand, selection="+report") == ["clean", "report"]
    assert await listed(stand, selection="key:raw+") == ["clean", "raw", "report"]
    assert await listed(stand, selection="group:sales and not owner:team:core") == ["report"]
    assert await listed(stand, location="telling") == ["report"]
    assert await listed(stand, search="RE") == ["report"]
    detail: api.AssetDetail = await stand.stub.GetAsset(api.GetAssetRequest(key=CLEAN))
    asset = detail.asset
    assert (asset.location, list(asset.other_locations)) == ("sales", ["telling"])
    assert ([list(it.path) for it in asset.parents], [list(it.path) for it in asset.children]) == (
        [["raw"]],
        [["report"]],
    )
    assert detail.definition.description == "Without doubles."
    assert asset.health == api.ASSET_HEALTH_UNKNOWN


async def test_pages_go_on_where_the_last_one_ended(stand: Stand) -> None:
    first: api.ListAssetsPage = await stand.stub.ListAssets(api.ListAssetsRequest(page_size=2))
    second = await stand.stub.ListAssets(api.ListAssetsRequest(page_size=2, page_token=first.next_page_token))
    keys = [it.key.path[0] for page in (first, second) for it in page.assets]
    assert keys == ["clean", "raw", "report"]
    assert (first.total, second.next_page_token) == (3, "")


async def test_an_asset_tells_what_its_runs_made_of_it(stand: Stand) -> None:
    run = (await stand.launch()).request.run.run_id
    made = told("asset_materialized", CLEAN, partition="north")
    made.asset_materialized.metadata.add(label="rows").value.int = 7
    checked = told("asset_check_evaluated", CLEAN, check_name="whole", severity=pb.CHECK_SEVERITY_WARN)
    await stand.record(run, told("asset_planned", CLEAN, partition="south"), made, checked)
    detail: api.AssetDetail = await stand.stub.GetAsset(api.GetAssetRequest(key=CLEAN))
    asset = detail.asset
    assert asset.last_materialization.run_id == run
    assert detail.materialization.asset_materialized.metadata[0].value.int == 7
    assert (asset.materialized_partitions, asset.in_progress, asset.failed) == (1, 1, 0)
    assert asset.checks[0].status == api.ASSET_CHECK_STATUS_WARNED
    assert asset.health == api.ASSET_HEALTH_WARNING
    await stand.record(run, told("asset_failed", CLEAN, partition="south"))
    page: api.ListAssetPartitionsPage = await stand.stub.ListAssetPartitions(api.ListAssetPartitionsRequest(key=CLEAN))
    assert [(it.key, it.HasField("materialization"), it.is_failed) for it in page.partitions] == [
        ("north", True, False),
        ("south", False, True),
    ]
    failed = await stand.stub.ListAssetPartitions(api.ListAssetPartitionsRequest(key=CLEAN, is_failed_only=True))
    assert [it.key for it in failed.partitions] == ["south"]
    assert (await stand.stub.GetAsset(api.GetAssetRequest(key=CLEAN))).asset.health == api.ASSET_HEALTH_DEGRADED


async def test_what_there_is_not_is_refused_with_what_is_near(stand: Stand) -> None:
    for call, request in (
        (stand.stub.GetAsset, api.GetAssetRequest(key=pb.AssetKey(path=["raaw"]))),
        (stand.stub.ListAssetPartitions, api.ListAssetPartitionsRequest(key=pb.AssetKey(path=["raaw"]))),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(request)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "did you mean 'raw'?" in str(caught.value.details())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(stand, location="salse")
    assert "did you mean 'sales'?" in str(caught.value.details())
    for field, asked in (
        ("selection", api.ListAssetsRequest(selection="raw and (")),
        ("selection", api.ListAssetsRequest(selection="kind:dbt")),
        ("selection", api.ListAssetsRequest(selection="raaw")),
        ("page_size", api.ListAssetsRequest(page_size=501)),
        ("search", api.ListAssetsRequest(search="a\0")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stand.stub.ListAssets(asked)
        assert set(violations_of(caught.value)) == {field}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stand.stub.GetAsset(api.GetAssetRequest())
    assert set(violations_of(caught.value)) == {"key.path"}
