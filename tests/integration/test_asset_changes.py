"""Events of assets from outside of runs, and wipes, on a real control plane with both databases."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from integration.control_plane_stand import Stand, control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb

RAW, CLEAN, WIDE, ODD = (pb.AssetKey(path=[name]) for name in ("raw", "clean", "wide", 'o"d, é*+ |'))
_STATIC = pb.PartitionsSnapshot(kind="static", keys=["north", "south"])
_DYNAMIC = pb.PartitionsSnapshot(kind="dynamic", dynamic_name="shops")
LOAD = pb.LocationSnapshot(
    assets=[
        pb.AssetSnapshot(key=RAW, is_executable=True),
        pb.AssetSnapshot(
            key=CLEAN,
            is_executable=True,
            deps=[RAW],
            partitions=_STATIC,
            checks=[pb.AssetCheckSnapshot(name="whole", is_blocking=True)],
        ),
        pb.AssetSnapshot(
            key=WIDE,
            is_executable=True,
            partitions=pb.PartitionsSnapshot(kind="multi", dimensions={"region": _STATIC, "shop": _DYNAMIC}),
        ),
        pb.AssetSnapshot(key=ODD, is_stub=True),
    ],
)


@pytest.fixture
async def stand(broker_url: str, database_url: str) -> AsyncIterator[Stand]:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply("sales")
        await stand.hear()
        await stand.report("sales", snapshot=LOAD)
        yield stand


def made(asset: pb.AssetKey, partition: str = "", **fields: Any) -> api.ReportAssetEventRequest:
    body = pb.AssetMaterialized(asset=asset, partition=partition, **fields)
    return api.ReportAssetEventRequest(materialized=body, requested_by="ada")


async def shown(stand: Stand, key: pb.AssetKey) -> api.AssetDetail:
    detail: api.AssetDetail = await stand.stub.GetAsset(api.GetAssetRequest(key=key))
    return detail


async def refused(stand: Stand, request: api.ReportAssetEventRequest) -> dict[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stand.stub.ReportAssetEvent(request)
    return violations_of(caught.value)


async def test_what_is_reported_is_what_the_asset_tells(stand: Stand) -> None:
    for key in (RAW, ODD):
        report = made(key, tags={"dagster/data_version": "7"}, description="by hand")
        report.materialized.metadata.add(label="rows").value.int = 7
        told = await stand.stub.ReportAssetEvent(report)
        detail = await shown(stand, key)
        assert detail.asset.last_materialization == told.event
        assert detail.materialization.asset_materialized == report.materialized
        assert detail.materialization.message == "Reported by ada."
        assert detail.asset.health == api.ASSET_HEALTH_HEALTHY
    seen = api.ReportAssetEventRequest(observed=pb.AssetObserved(asset=RAW))
    told = await stand.stub.ReportAssetEvent(seen)
    assert (await shown(stand, RAW)).asset.last_observation == told.event


async def test_partitions_and_checks_are_reported_by_their_names(stand: Stand) -> None:
    await stand.stub.ReportAssetEvent(made(CLEAN, "north"))
    check = pb.AssetCheckEvaluated(asset=CLEAN, check_name="whole")
    await stand.stub.ReportAssetEvent(api.ReportAssetEventRequest(check_evaluated=check))
    asset = (await shown(stand, CLEAN)).asset
    assert asset.materialized_partitions == 1
    assert [it.status for it in asset.checks] == [api.ASSET_CHECK_STATUS_FAILED]
    assert asset.health == api.ASSET_HEALTH_DEGRADED
    check.severity = pb.CHECK_SEVERITY_WARN
    await stand.stub.ReportAssetEvent(api.ReportAssetEventRequest(check_evaluated=check))
    assert (await shown(stand, CLEAN)).asset.health == api.ASSET_HEALTH_WARNING


async def test_a_report_that_fits_nothing_names_field_and_remedy(stand: Stand) -> None:
    for request, field, text in _FITTING_NOTHING:
        assert text in (await refused(stand, request))[field]


async def test_assets_that_nobody_knows_are_neither_reported_nor_wiped(stand: Stand) -> None:
    key = pb.AssetKey(path=["raaw"])
    for call, request in (
        (stand.stub.ReportAssetEvent, made(key)),
        (stand.stub.WipeAsset, api.WipeAssetRequest(key=key)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(request)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "did you mean 'raw'?" in str(caught.value.details())


async def test_an_event_beyond_what_is_kept_whole_is_refused(stand: Stand) -> None:
    report = made(RAW)
    report.materialized.metadata.add(label="large").value.text = "x" * (1024 * 1024)
    assert "shorten its metadata" in (await refused(stand, report))["event"]


async def test_a_wiped_asset_was_never_made_and_who_wiped_it_is_kept(stand: Stand) -> None:
    await stand.stub.ReportAssetEvent(made(CLEAN, "north"))
    await stand.stub.ReportAssetEvent(made(CLEAN, "south"))
    some = api.WipeAssetRequest(key=CLEAN, partitions=["north"], requested_by="ada", why="wrong source")
    wiped: api.AssetWipe = await stand.stub.WipeAsset(some)
    assert (wiped.events, list(wiped.partitions)) == (1, ["north"])
    assert (await shown(stand, CLEAN)).asset.materialized_partitions == 1
    assert (await stand.stub.WipeAsset(api.WipeAssetRequest(key=CLEAN, requested_by="bob"))).events == 1
    detail = await shown(stand, CLEAN)
    assert not detail.asset.HasField("last_materialization")
    assert detail.asset.health == api.ASSET_HEALTH_UNKNOWN
    page: api.ListAssetWipesPage = await stand.stub.ListAssetWipes(api.ListAssetWipesRequest(key=CLEAN, page_size=1))
    assert ([(it.wiped_by, it.why) for it in page.wipes], page.has_more) == ([("bob", "")], True)
    older = api.ListAssetWipesRequest(before_id=page.wipes[0].id)
    assert [it.why for it in (await stand.stub.ListAssetWipes(older)).wipes] == ["wrong source"]


async def test_an_asset_that_left_the_code_can_be_wiped_once(stand: Stand) -> None:
    await stand.stub.ReportAssetEvent(made(ODD))
    await stand.apply("sales", env={"GENERATION": "2"})
    await stand.report("sales", generation=2, snapshot=pb.LocationSnapshot(assets=LOAD.assets[:1]))
    assert (await stand.stub.WipeAsset(api.WipeAssetRequest(key=ODD))).events == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stand.stub.WipeAsset(api.WipeAssetRequest(key=ODD))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stand.stub.WipeAsset(api.WipeAssetRequest(key=RAW, partitions=["", "a\0"]))
    assert set(violations_of(caught.value)) == {"partitions[0]", "partitions[1]"}


_FITTING_NOTHING = (
    (api.ReportAssetEventRequest(), "event", "is missing"),
    (made(pb.AssetKey()), "materialized.asset.path", "is missing"),
    (made(RAW, "north"), "materialized.partition", "has no partitions"),
    (made(CLEAN), "materialized.partition", "is missing"),
    (made(CLEAN, "nroth"), "materialized.partition", "did you mean 'north'"),
    (made(WIDE, "north"), "materialized.partition", "must have 2 parts"),
    (made(WIDE, "nroth|a"), "materialized.partition", "did you mean 'north'"),
    (made(WIDE, "north|a"), "materialized.partition", "there is no key 'a' of the dynamic partitions 'shops'"),
    (made(RAW, description="a\0"), "materialized.description", "NUL"),
    (made(RAW, tags={"": "x"}), "materialized.tags", "empty key"),
    (made(RAW, metadata=[pb.MetadataEntry()]), "materialized.metadata.label[0]", "is empty"),
    (
        api.ReportAssetEventRequest(check_evaluated=pb.AssetCheckEvaluated(asset=CLEAN)),
        "check_evaluated.check_name",
        "is missing",
    ),
    (
        api.ReportAssetEventRequest(check_evaluated=pb.AssetCheckEvaluated(asset=CLEAN, check_name="hole")),
        "check_evaluated.check_name",
        "did you mean 'whole'?",
    ),
)
