"""Runs that a person deletes."""

from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import AssetKey, AssetMaterialized, Event, LogMessage
from isthmus_store import outbox
from isthmus_store.signal import Started, Succeeded
from isthmus_store.state import InstructionOutcome
from isthmus_store.table.event import EVENT_INDEX, EVENTS
from isthmus_store.table.run import RUNS
from sqlalchemy import func, select


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/isthmus.db"


async def ended(stand: Stand, *news: Event) -> str:
    """Launch a run and let it succeed."""
    run_id = (await stand.launch()).request.run.run_id
    await stand.record(run_id, *news, signal=Started(attempt=1))
    await stand.record(run_id, signal=Succeeded(attempt=1))
    async with stand.database.write() as tx:
        for command in await outbox.of_run(tx, run_id):
            await outbox.settle(tx, command.id, outcome=InstructionOutcome.SUCCEEDED, at=datetime.now(UTC))
    return run_id


async def left_of(stand: Stand, run_id: str) -> dict[str, int]:
    """Count what the store has of a run."""
    async with stand.database.read() as tx:
        counted = {}
        for table in (RUNS, EVENTS, EVENT_INDEX):
            statement = select(func.count()).select_from(table).where(table.c.run_id == run_id)
            counted[table.name] = (await tx.execute(statement)).scalar_one()
        return counted


async def delete(stand: Stand, run_id: str) -> None:
    await stand.stub.DeleteRun(api.DeleteRunRequest(run_id=run_id, requested_by="ada"))


async def refused(stand: Stand, run_id: str) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await delete(stand, run_id)
    return caught.value


async def test_a_deleted_run_is_gone_and_what_assets_are_asked_about_stays(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand, stand.serving():
        made = Event(asset_materialized=AssetMaterialized(asset=AssetKey(path=["raw"])))
        first, second = await ended(stand, made), await ended(stand)
        await delete(stand, first)
        assert (await refused(stand, first)).code() is grpc.StatusCode.NOT_FOUND
        page = await stand.stub.ListRuns(api.ListRunsQuery())
        assert [run.request.run.run_id for run in page.runs] == [second]
        assert await left_of(stand, first) == {"runs": 0, "events": 0, "event_index": 1}


async def test_a_run_that_has_not_ended_is_not_deleted(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand, stand.serving():
        run_id = (await stand.launch()).request.run.run_id
        error = await refused(stand, run_id)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "has not ended" in str(error.details())
        assert (await stand.run(run_id)).request.run.run_id == run_id


async def test_a_run_of_which_an_agent_is_still_told_is_not_deleted(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand, stand.serving():
        run_id = (await stand.launch()).request.run.run_id
        await stand.record(run_id, signal=Succeeded(attempt=1))
        error = await refused(stand, run_id)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "an agent is still to be told" in str(error.details())


async def test_a_large_run_goes_in_parts(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand, stand.serving():
        said = [Event(message="x", log_message=LogMessage(level=20)) for _ in range(1200)]
        run_id = await ended(stand, *said)
        await delete(stand, run_id)
        assert (await refused(stand, run_id)).code() is grpc.StatusCode.NOT_FOUND
        assert (await left_of(stand, run_id))["runs"] == 0
