"""`isthmus sensor …` as a process against a real gRPC server."""

from datetime import UTC, datetime

import pytest
from contract.cli.conftest import Isthmus
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import (
    AssetKey,
    AssetMaterialized,
    AssetSubset,
    Event,
    Failure,
    RunTagsChange,
    WantedChanges,
)
from support.canned import CannedServer


def stamp(hour: int) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(datetime(2026, 7, 1, hour, tzinfo=UTC))
    return message


@pytest.fixture(autouse=True)
def watcher(canned: CannedServer) -> None:
    canned.plane.automations["watcher"] = api.Automation(
        deployment="default",
        location="etl",
        kind=api.AUTOMATION_KIND_SENSOR,
        name="watcher",
        is_running=True,
        minimum_interval_s=30,
        job_names=["load"],
        cursor="17",
        next_at=stamp(22),
        last_tick=api.Tick(at=stamp(1), status=api.TICK_STATUS_SKIPPED, skip_reason="nothing new"),
    )
    failed = api.Tick(
        id=7, at=stamp(2), status=api.TICK_STATUS_FAILED, began_at=stamp(2), failure=Failure(error_class="KeyError")
    )
    canned.plane.ticks = [failed]


async def test_list_and_show_tell_what_runs_and_where_it_stands(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("sensor", "list")
    assert outcome.code == 0, outcome.err
    head, row = outcome.out.splitlines()
    assert head.split()[:4] == ["SENSOR", "LOCATION", "STATE", "EVERY"]
    for word in ("watcher", "etl", "RUNNING", "30", "SKIPPED", "nothing new"):
        assert word in row
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListAutomationsRequest)
    assert asked.kind == api.AUTOMATION_KIND_SENSOR
    shown = await isthmus("sensor", "show", "watcher")
    for word in ("cursor      17", "(the code's default)", "FAILED", "KeyError"):
        assert word in shown.out
    assert "FAILED" in (await isthmus("sensor", "ticks", "watcher")).out


async def test_start_and_stop_say_who_decided(canned: CannedServer, isthmus: Isthmus) -> None:
    stopped = await isthmus("sensor", "stop", "watcher")
    assert "Sensor watcher rests until it is started: isthmus sensor start watcher" in stopped.err
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.DecideAutomationRequest)
    assert (asked.automation.kind, bool(asked.requested_by)) == (api.AUTOMATION_KIND_SENSOR, True)
    started = await isthmus("sensor", "start", "watcher", "--location", "etl")
    assert "Sensor watcher runs; it is due next" in started.err


@pytest.mark.parametrize("verb", ["test", "preview"])
async def test_trial_tells_what_would_start_and_change(canned: CannedServer, isthmus: Isthmus, verb: str) -> None:
    changes = WantedChanges(
        asset_events=[Event(asset_materialized=AssetMaterialized(asset=AssetKey(path=["a", "b"])))],
        run_tags=[RunTagsChange(run_id="0123456789")],
    )
    run = RunRequest(job_name="load", tags={"dagster/run_key": "k"})
    shelf = AssetSubset(asset=AssetKey(path=["shelf"]), has_partitions=True, partition_count=7)
    canned.plane.tested = api.TestedTick(
        at=stamp(22),
        status=api.TICK_STATUS_SUCCESS,
        runs=[run],
        backfills=[api.WantedBackfill(assets=[shelf])],
        changes=changes,
        cursor="18",
    )
    outcome = await isthmus("sensor", verb, "watcher", "--cursor", "3")
    assert outcome.code == 0, outcome.err
    for text in (
        "load  key k",
        "a backfill of shelf (7 partitions)",
        "asset a/b was materialized",
        "tags run 01234567",
        "moves its cursor to '18'",
    ):
        assert text in outcome.out
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.TestTickRequest)
    assert asked.cursor == "3"


async def test_cursor_is_told_and_put_elsewhere(canned: CannedServer, isthmus: Isthmus) -> None:
    assert (await isthmus("sensor", "cursor", "watcher")).out == "17\n"
    assert (await isthmus("sensor", "cursor", "watcher", "--set", "20")).out == "20\n"
    assert (await isthmus("sensor", "cursor", "watcher", "--set", "")).out == "\n"
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.SetCursorRequest)
    assert bool(asked.requested_by)
