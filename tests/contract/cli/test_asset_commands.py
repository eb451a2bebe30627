"""`isthmus asset …` as a process against a real gRPC server."""

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from contract.cli.conftest import Isthmus
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import AssetKey, AssetSnapshot, CheckSeverity
from support.canned import CannedServer, Refusal

RUN = "6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11"


def ref(*, hours_ago: int) -> api.AssetEventRef:
    at = Timestamp()
    at.FromDatetime(datetime.now(UTC) - timedelta(hours=hours_ago))
    return api.AssetEventRef(event_id=7, run_id=RUN, at=at)


@pytest.fixture(autouse=True)
def catalog(canned: CannedServer) -> None:
    orders = api.CatalogAsset(
        deployment="default",
        key=AssetKey(path=["shop", "orders"]),
        location="etl",
        group="sales",
        kinds=["duckdb"],
        owners=["team:core"],
        parents=[AssetKey(path=["raw"])],
        is_materializable=True,
        is_partitioned=True,
        last_materialization=ref(hours_ago=3),
        health=api.ASSET_HEALTH_DEGRADED,
        checks=[api.AssetCheckState(name="whole", status=api.ASSET_CHECK_STATUS_FAILED, evaluation=ref(hours_ago=2))],
        materialized_partitions=12,
        failed=2,
    )
    raw = api.CatalogAsset(key=AssetKey(path=["raw"]), location="etl", health=api.ASSET_HEALTH_UNKNOWN)
    canned.plane.assets = [raw, orders]
    made = api.AssetDetail(asset=orders, definition=AssetSnapshot(description="All of them.", jobs=["nightly"]))
    made.materialization.asset_materialized.metadata.add(label="rows").value.int = 7
    canned.plane.asset = made
    canned.plane.partitions = [
        api.AssetPartition(key="2026-07-01", materialization=ref(hours_ago=3)),
        api.AssetPartition(key="2026-07-02", is_failed=True),
        api.AssetPartition(key="2026-07-03", is_in_progress=True),
    ]


async def test_list_tells_how_assets_fare_and_why(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("asset", "list", "group:sales", "--search", "ord", "--location", "etl")
    assert outcome.code == 0, outcome.err
    head, raw, orders = outcome.out.splitlines()
    assert head.split() == ["ASSET", "HEALTH", "GROUP", "LOCATION", "KINDS", "MADE", "PARTITIONS", "WHY"]
    assert raw.split() == ["raw", "UNKNOWN", "-", "etl", "-", "-", "-"]
    for word in ("shop/orders", "DEGRADED", "3 h ago", "12", "2 partitions failed; check whole failed"):
        assert word in orders
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListAssetsRequest)
    assert (asked.deployment, asked.selection, asked.search, asked.location) == ("default", "group:sales", "ord", "etl")
    assert [it["health"] for it in (await isthmus("asset", "list", "--json")).document] == ["UNKNOWN", "DEGRADED"]


async def test_a_long_list_says_what_is_left_out(isthmus: Isthmus) -> None:
    outcome = await isthmus("asset", "list", "--limit", "1")
    assert len(outcome.out.splitlines()) == 2
    assert "1 more are not shown: --limit 2" in outcome.err


async def test_show_tells_one_whole(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.assets = canned.plane.assets[1:]
    outcome = await isthmus("asset", "show", "shop/orders")
    assert outcome.code == 0, outcome.err
    for word in ("All of them.", f"3 h ago by run {RUN}", "nightly", "raw", "whole", "FAILED", "rows  7", "team:core"):
        assert word in outcome.out
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.GetAssetRequest)
    assert list(asked.key.path) == ["shop", "orders"]
    assert (await isthmus("asset", "show", "shop/orders", "--json")).document["asset"]["failed"] == 2


async def test_partitions_are_told_with_their_state(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.assets = canned.plane.assets[1:]
    outcome = await isthmus("asset", "partitions", "shop/orders", "--failed")
    assert outcome.code == 0, outcome.err
    words = [line.split()[:2] for line in outcome.out.splitlines()[1:]]
    assert words == [["2026-07-01", "MADE"], ["2026-07-02", "FAILED"], ["2026-07-03", "IN"]]
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListAssetPartitionsRequest)
    assert asked.is_failed_only


async def test_what_selects_several_is_no_name_of_one(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("asset", "show", "*")
    assert outcome.code == 2
    assert "'*' selects 2 assets: raw, shop/orders." in outcome.err
    assert "isthmus asset list '*'" in outcome.err
    canned.plane.refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "the request is not valid: there is no asset 'x'")
    assert "there is no asset 'x'" in (await isthmus("asset", "show", "x")).err


async def test_why_tells_decisions_with_their_reasons(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.assets = canned.plane.assets[1:]
    at = ref(hours_ago=3).at
    one = api.AssetEvaluation(
        id=9, at=at, location="etl", sensor="automatic", tick_id=812, reason="executed, since “eager”"
    )
    one.requested.count = 2
    one.requested.ranges.add(first="2026-07-01", last="2026-07-02")
    one.nodes.add(depth=0).condition.label = "eager"
    one.nodes.add(depth=1).condition.name = "in_progress"
    one.nodes[0].decision.true_count = 2
    canned.plane.evaluations = [one]
    outcome = await isthmus("asset", "why", "shop/orders", "--check", "whole", "--requested", "--limit", "5")
    assert outcome.code == 0, outcome.err
    first, second = outcome.out.splitlines()
    assert first.split("  ")[0:1] == ["3 h ago"]
    assert first.endswith("executed, since “eager”  2 partitions: 2026-07-01 to 2026-07-02")
    assert second.split() == ["sensor", "automatic", "of", "etl,", "tick", "812"]
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListAssetEvaluationsRequest)
    assert (asked.check_name, asked.is_requesting_only, asked.page_size) == ("whole", True, 5)
    whole = await isthmus("asset", "why", "shop/orders", "--whole")
    assert [line.split() for line in whole.out.splitlines()[2:]] == [["yes", "eager"], ["no", "in_progress"]]
    canned.plane.evaluations = []
    assert "No sensor has decided anything" in (await isthmus("asset", "why", "shop/orders")).err


async def test_report_tells_what_happened_outside_of_runs(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.assets = canned.plane.assets[1:]
    metadata = (
        "rows=1200",
        "share=0.5",
        "is_whole=true",
        'parts={"a": 1}',
        "where=https://example.com/a",
        "id=007",
        "none=null",
    )
    said = [word for entry in metadata for word in ("--metadata", entry)]
    outcome = await isthmus(
        *("asset", "report", "shop/orders", "--partition", "2026-07-01", "--data-version", "v7", "--tag", "a=b", *said)
    )
    assert outcome.code == 0, outcome.err
    assert "Told as event 7." in outcome.err
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ReportAssetEventRequest)
    body = asked.materialized
    assert (list(body.asset.path), body.partition) == (["shop", "orders"], "2026-07-01")
    given = {"dagster/data_version": "v7", "dagster/data_version_is_user_provided": "true", "a": "b"}
    assert dict(body.tags) == given
    kinds = {it.label: it.value.WhichOneof("value") for it in body.metadata}
    assert list(kinds.values()) == ["int", "float", "bool", "json", "url", "text", "text"]
    await isthmus("asset", "report", "shop/orders", "--observed")
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ReportAssetEventRequest)
    assert asked.WhichOneof("event") == "observed"
    await isthmus("asset", "report", "shop/orders", "--check", "whole", "--failed", "--warn")
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ReportAssetEventRequest)
    assert (asked.check_evaluated.check_name, asked.check_evaluated.is_passed) == ("whole", False)
    assert asked.check_evaluated.severity == CheckSeverity.CHECK_SEVERITY_WARN


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--check", "whole"), "Say --passed or --failed"),
        (("--check", "whole", "--passed", "--failed"), "Say --passed or --failed"),
        (("--check", "whole", "--passed", "--observed"), "exclude each other"),
        (("--check", "whole", "--passed", "--tag", "a=b"), "Use --metadata"),
        (("--passed",), "Name it: --check CHECK"),
        (("--metadata", "rows"), "Write --metadata rows=1200"),
        (("--tag", "rows"), "Write --tag key=value"),
    ],
)
async def test_a_report_that_makes_no_sense_is_refused(
    canned: CannedServer, isthmus: Isthmus, options: tuple[str, ...], text: str
) -> None:
    outcome = await isthmus("asset", "report", "shop/orders", *options)
    assert outcome.code == 2
    assert text in outcome.err
    assert canned.plane.asked == []


async def test_wipe_asks_first_and_tells_what_is_forgotten(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.assets = canned.plane.assets[1:]
    refused = await isthmus("asset", "wipe", "shop/orders")
    assert refused.code == 2
    assert "Say --yes." in refused.err
    assert not any(isinstance(it, api.WipeAssetRequest) for it in canned.plane.asked)
    outcome = await isthmus(
        "asset", "wipe", "shop/orders", "--yes", "--partition", "2026-07-01", "--why", "wrong source"
    )
    assert outcome.code == 0, outcome.err
    assert "Forgot 12 events of shop/orders." in outcome.err
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.WipeAssetRequest)
    assert (list(asked.key.path), list(asked.partitions)) == (["shop", "orders"], ["2026-07-01"])
    assert (asked.why, bool(asked.requested_by)) == ("wrong source", True)


async def test_wipes_are_listed_with_who_and_why(canned: CannedServer, isthmus: Isthmus) -> None:
    assert "Nobody has wiped anything." in (await isthmus("asset", "wipes")).err
    canned.plane.wipes = [
        api.AssetWipe(id=2, key=AssetKey(path=["raw"]), events=3, wiped_by="ada", wiped_at=ref(hours_ago=2).at),
        api.AssetWipe(id=1, key=AssetKey(path=["raw"]), partitions=["a", "b"], why="old", wiped_at=ref(hours_ago=3).at),
    ]
    outcome = await isthmus("asset", "wipes")
    assert [line.split()[3:] for line in outcome.out.splitlines()[1:]] == [
        ["raw", "all", "3", "ada", "-"],
        ["raw", "a,", "b", "0", "-", "old"],
    ]
    canned.plane.assets = canned.plane.assets[1:]
    assert [it["id"] for it in (await isthmus("asset", "wipes", "shop/orders", "--json")).document] == [2, 1]
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListAssetWipesRequest)
    assert list(asked.key.path) == ["shop", "orders"]
