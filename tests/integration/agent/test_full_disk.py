"""A full disk where runs have their files: a launch waits for room, and one that finds none says so."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from integration.agent_stand import AgentStand, agent_stand, new_run
from isthmus.v1.instruction_pb2 import LocationSpec
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING, RUN_REASON_INTERNAL_ERROR, InstructionResult
from support.eventually import eventually
from support.small_disk import small_disk

pytestmark = pytest.mark.timeout(180)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED


@pytest.fixture
async def stand(broker_url: str, tmp_path: Path) -> AsyncIterator[AgentStand]:
    async with agent_stand(url=broker_url, folder=tmp_path) as it:
        yield it


async def serve(it: AgentStand, *specs: LocationSpec) -> None:
    await it.sync(*specs)
    names = {spec.name for spec in specs}
    await eventually(lambda: all(it.phases().get(name) == LOCATION_PHASE_SERVING for name in names), within=60)


async def test_a_launch_waits_for_room_for_its_files_and_others_go_on(stand: AgentStand) -> None:
    with small_disk(stand.data_dir / "runs" / "sales", size="64k") as disk:
        async with stand.agent():
            await serve(stand, stand.location(), stand.location(name="other"))
            disk.fill()
            run = new_run()
            waiting = await stand.tell(launch_run=stand.launch("quick_job", run))
            assert (await stand.result(await launched_elsewhere(stand))).outcome == SUCCEEDED
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await stand.result(waiting)
            disk.empty()
            assert (await stand.result(waiting)).outcome == SUCCEEDED
            await stand.end(run)


async def test_a_launch_that_finds_no_room_for_its_files_until_its_deadline_names_the_disk(stand: AgentStand) -> None:
    with small_disk(stand.data_dir / "runs" / "sales", size="64k") as disk:
        async with stand.agent():
            await serve(stand, stand.location())
            disk.fill()
            failed = await stand.result(
                await stand.tell(launch_run=stand.launch("quick_job", new_run()), in_s=4), within=60
            )
            assert (failed.outcome, failed.reason) == (FAILED, RUN_REASON_INTERNAL_ERROR)
            assert "No space left on device" in failed.failure.message
            assert stand.noted("quick") == []


async def launched_elsewhere(stand: AgentStand) -> str:
    return await stand.tell(launch_run=stand.launch("quick_job", new_run(), location="other"))
