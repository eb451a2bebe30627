"""Locations and histories that are larger than any one message."""

import asyncio
import hashlib
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import pytest
from integration.agent_stand import agent_stand
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING
from isthmus_agent.locations.pieces import PIECE_BYTES
from isthmus_agent.locations.reporter import LocationReporter
from isthmus_broker.publisher import Publisher
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import InvalidRequestError
from isthmus_lifecycle.log import get_logger
from isthmus_monitor.service import run_monitor
from isthmus_monitor.settings import MonitorSettings
from isthmus_store.signal import Succeeded
from support.write_lock import watched_writes

pytestmark = pytest.mark.timeout(180)
log = get_logger(__name__)

_ASSETS = 2000
#: RabbitMQ 4 takes no larger message.
_BROKER_LIMIT = 16 * 1024**2

PROJECT = dedent(
    f"""
    import dagster as dg

    def make(number):
        @dg.asset(
            name=f"asset_{{number:04d}}",
            group_name=f"group_{{number % 20}}",
            deps=[f"asset_{{number - 1:04d}}"] if number % 10 else [],
            description=f"Number {{number}} of a large project.",
        )
        def one():
            return number

        return one

    defs = dg.Definitions(assets=[make(number) for number in range({_ASSETS})])
    """
)


async def test_a_large_location_loads_and_its_snapshot_travels_once(broker_url: str, tmp_path: Path) -> None:
    async with agent_stand(url=broker_url, folder=tmp_path) as it, it.agent():
        file = tmp_path / "large.py"
        file.write_text(PROJECT)
        spec = it.location()
        spec.source.python_file = str(file)
        spec.load_timeout_s = 150
        await it.sync(spec)
        first = await it.report(LOCATION_PHASE_SERVING)
        assert len(first.snapshot.assets) == _ASSETS
        # Before it is compressed.
        assert first.ByteSize() < _BROKER_LIMIT / 4
        spec.generation = 2
        spec.known_snapshot_hash = first.snapshot_hash
        await it.sync(spec)
        second = await it.report(LOCATION_PHASE_SERVING, generation=2)
        assert second.snapshot_hash == first.snapshot_hash
        assert sum(report.HasField("snapshot") for report in it.reports()) == 1


def large_snapshot(assets: int, *, bytes_each: int) -> pb.LocationSnapshot:
    keys = [pb.AssetKey(path=[f"asset_{number:05d}"]) for number in range(assets)]
    return pb.LocationSnapshot(
        jobs=[pb.JobSnapshot(name="__ASSET_JOB", is_implicit_asset_job=True, assets=keys)],
        assets=[
            # No two of them are alike, so that they compress as badly as real ones.
            pb.AssetSnapshot(key=key, is_executable=True, description=hashlib.sha512(key.path[0].encode()).hexdigest())
            for key in keys
        ],
        warnings=["x" * (assets * bytes_each)],
    )


async def report(stand: Stand, snapshot: pb.LocationSnapshot) -> None:
    """Tell of a location as its agent does."""
    told = pb.LocationReport(
        location="sales",
        generation=1,
        phase=LOCATION_PHASE_SERVING,
        serving_generation=1,
        snapshot_hash=hashlib.sha256(snapshot.SerializeToString(deterministic=True)).hexdigest(),
        snapshot=snapshot,
    )
    source = pb.Source(deployment="default", agent="alpha", incarnation="life-1")
    async with Publisher(stand.broker) as publisher, asyncio.TaskGroup() as tasks:
        reporter = LocationReporter(TelemetryPublisher(publisher, source=source))
        running = tasks.create_task(reporter.run())
        reporter.report("sales", pb.Event(location_report=told))
        async with ControlPlaneClient(stand.address) as client:
            async for location in client.watch_location("sales"):
                if location.phase == LOCATION_PHASE_SERVING and location.snapshot_hash == told.snapshot_hash:
                    assert not location.HasField("snapshot")
                    if location.snapshot_bytes:
                        break
        running.cancel()


async def test_20000_assets_go_all_the_way_with_defaults(broker_url: str, tmp_path: Path) -> None:
    snapshot = large_snapshot(20_000, bytes_each=2_700)
    size = len(snapshot.SerializeToString(deterministic=True))
    assert size > 55_000_000
    database_url = f"sqlite+aiosqlite:///{tmp_path}/isthmus.db"
    async with control_plane(broker_url, database_url) as stand, asyncio.TaskGroup() as tasks:
        await stand.create_agent()
        await stand.apply()
        await stand.hear()
        settings = MonitorSettings.model_validate({"broker_url": broker_url, "database_url": database_url})
        monitoring = tasks.create_task(run_monitor(settings))
        async with asyncio.timeout(150):
            await report(stand, snapshot)
        async with ControlPlaneClient(stand.address) as client:
            location = await client.get_location("sales")
            assert (location.snapshot_bytes, len(location.snapshot.assets)) == (size, 20_000)
            (listed,) = await client.list_locations()
            assert listed.ByteSize() < 10_000
            request = api.LaunchRunRequest(location="sales", asset_selection=[pb.AssetKey(path=["asset_19999"])])
            # Queued where nobody has heard of the agent for as long as all this took.
            assert (await client.launch_run(request)).state in {api.RUN_STATE_QUEUED, api.RUN_STATE_DISPATCHED}
            request.asset_selection[0].path[:] = ["asset_20000"]
            with pytest.raises(InvalidRequestError):
                await client.launch_run(request)
        monitoring.cancel()


async def test_launches_wait_for_no_more_than_a_piece_of_a_large_snapshot(broker_url: str, tmp_path: Path) -> None:
    snapshot = large_snapshot(2_000, bytes_each=10_000)
    snapshot.jobs.add(name="nightly")
    size = len(snapshot.SerializeToString(deterministic=True))
    assert size > 20_000_000
    database_url = f"sqlite+aiosqlite:///{tmp_path}/isthmus.db"
    accepted_beside = 0

    async def launch_on(stand: Stand) -> None:
        nonlocal accepted_beside
        while True:
            await stand.launch()
            accepted_beside += 1

    async with control_plane(broker_url, database_url) as stand, asyncio.TaskGroup() as tasks:
        await stand.serve()
        settings = MonitorSettings.model_validate({"broker_url": broker_url, "database_url": database_url})
        monitoring = tasks.create_task(run_monitor(settings))
        launching = tasks.create_task(launch_on(stand))
        with watched_writes() as lock:
            async with asyncio.timeout(150):
                await report(stand, snapshot)
        for task in (launching, monitoring):
            task.cancel()
    pieces = [hold for hold in lock.holds if hold.size > PIECE_BYTES // 2]
    longest_ms = 1000 * max(hold.took_s for hold in pieces)
    log.info("snapshot_stored", pieces=len(pieces), launches_beside=accepted_beside, longest_hold_ms=round(longest_ms))
    assert len(pieces) >= size // PIECE_BYTES
    assert max(hold.size for hold in lock.holds) < PIECE_BYTES + 64 * 1024
    assert accepted_beside > 0


async def test_a_history_of_100_events_of_a_megabyte_is_watched_with_defaults(broker_url: str, tmp_path: Path) -> None:
    async with control_plane(broker_url, f"sqlite+aiosqlite:///{tmp_path}/isthmus.db") as stand:
        await stand.serve()
        run_id = str(uuid4())
        async with ControlPlaneClient(stand.address) as client:
            await client.launch_run(
                api.LaunchRunRequest(location="sales", job_name="nightly", run_id=run_id, partition_key="north")
            )
            text = "x" * 1_000_000
            for seq in range(1, 101):
                end = Succeeded(attempt=1) if seq == 100 else None
                await stand.record(run_id, pb.Event(seq=seq, message=text, step_key=str(seq)), signal=end)
            async with asyncio.timeout(120):
                told = [
                    update.event.step_key async for update in client.watch_run(run_id) if update.event.message == text
                ]
        assert told == [str(seq) for seq in range(1, 101)]
