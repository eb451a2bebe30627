"""Launches while a location is loaded anew."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_store.state import LocationPhase


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/isthmus.db"


async def reload(stand: Stand) -> None:
    settings = api.LocationSettings(name="sales", source=CodeSource(module="sales.definitions"))
    await stand.stub.ApplyLocation(api.ApplyLocationRequest(settings=settings, reload=True))


async def calls_in_between(stand: Stand) -> None:
    """Give a call that was begun before ample turns to be answered."""
    for _ in range(20):
        await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))


@pytest.mark.parametrize("phase", [LocationPhase.SERVING, LocationPhase.FAILED])
async def test_a_launch_waits_until_the_reload_before_it_is_over(
    phase: LocationPhase, broker_url: str, sqlite_url: str
) -> None:
    async with control_plane(broker_url, sqlite_url, reload_wait_s=60) as stand:
        await stand.serve()
        await reload(stand)
        async with asyncio.TaskGroup() as group:
            launching = group.create_task(stand.launch())
            await calls_in_between(stand)
            over_at = datetime.now(UTC)
            await stand.report(generation=2, phase=phase)
        assert launching.result().queued_at.ToDatetime(UTC) >= over_at


async def test_a_reload_holds_up_no_launch_for_longer_than_said_nor_where_nothing_is_said(
    broker_url: str, sqlite_url: str
) -> None:
    for said in (0.0, 0.2):
        async with control_plane(broker_url, sqlite_url, reload_wait_s=said) as stand:
            await stand.serve()
            await reload(stand)
            assert (await stand.launch()).request.run.run_id
            await stand.stub.RemoveLocation(api.RemoveLocationRequest(name="sales"))
