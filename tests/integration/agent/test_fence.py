"""What an agent said of an attempt it stands by: refusals stay refusals, and what lives is vouched for."""

import asyncio
import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from integration.agent_stand import AgentStand, agent_stand, new_run, server_pids
from isthmus.v1.instruction_pb2 import ISOLATION_DEDICATED, DrainAgent, ValidateRun
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_IMPORTING,
    LOCATION_PHASE_SERVING,
    RUN_REASON_INTERNAL_ERROR,
    RUN_REASON_LOCATION_UNAVAILABLE,
    InstructionResult,
)
from isthmus_spool.attempt_folder import AttemptFolder
from support.eventually import eventually
from support.small_disk import file_without_room

pytestmark = pytest.mark.timeout(180)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


async def test_a_fenced_dedicated_launch_is_refused_however_often_it_comes(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        spec = it.location()
        spec.isolation = ISOLATION_DEDICATED
        await it.sync(spec)
        await it.report(LOCATION_PHASE_SERVING)
        run = new_run()
        folder = AttemptFolder.for_run(it.data_dir / "runs" / "sales", run)
        folder.claim()
        (folder.path / "fenced").touch()
        for _ in range(2):
            refused = await it.start("quick_job", run)
            assert (refused.outcome, refused.reason) == (FAILED, RUN_REASON_LOCATION_UNAVAILABLE)
        assert it.noted("quick") == []


async def test_what_was_refused_once_never_starts(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it:
        run = new_run()
        async with it.agent():
            first = await it.start("quick_job", run)
            assert (first.outcome, first.reason) == (FAILED, RUN_REASON_LOCATION_UNAVAILABLE)
            await it.serve()
            again = await it.start("quick_job", run)
            assert (again.outcome, again.failure) == (FAILED, first.failure)
        async with it.agent():
            await it.heartbeat(lambda beat: len(beat.agent_heartbeat.locations) == 1)
            later = await it.start("quick_job", run)
            assert (later.outcome, later.failure) == (FAILED, first.failure)
            assert (await it.start("quick_job", new_run())).outcome == SUCCEEDED
            await eventually(lambda: len(it.noted("quick")) == 1, within=30)


async def test_a_run_on_a_server_that_stands_still_is_vouched_for(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    # No heartbeat falls between the start of the run and the moment from which its server is silent.
    async with stand as it, it.agent(heartbeat_s=3600):
        await it.serve()
        run = new_run()
        await it.start("endless_job", run)
        (server,) = server_pids(it)
        os.kill(server, signal.SIGSTOP)
        try:
            told = len(it.events)
            # Rings for a heartbeat.
            await it.tell(drain_agent=DrainAgent())

            def vouches() -> bool:
                return any(run in event.agent_heartbeat.active_runs for event in it.events[told:])

            await eventually(vouches, within=20)
        finally:
            os.kill(server, signal.SIGCONT)
        await it.terminate(run)


async def test_a_launch_waits_for_room_in_the_agents_folder(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        draft = it.data_dir / "attempts" / f"{run.run_id}.{run.attempt}.json.new"
        with file_without_room(draft, disk=tmp_path / "full"):
            waiting = await it.tell(launch_run=it.launch("quick_job", run))
            # Others go on meanwhile.
            assert (await it.start("quick_job", new_run())).outcome == SUCCEEDED
            assert not it.results(waiting)
        assert (await it.result(waiting)).outcome == SUCCEEDED
        assert (await it.end(run)).HasField("run_succeeded")


async def test_a_launch_that_found_no_room_names_the_disk(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        draft = it.data_dir / "attempts" / f"{run.run_id}.{run.attempt}.json.new"
        with file_without_room(draft, disk=tmp_path / "full"):
            failed = await it.result(await it.tell(launch_run=it.launch("quick_job", run), in_s=3))
        assert (failed.outcome, failed.reason) == (FAILED, RUN_REASON_INTERNAL_ERROR)
        assert "No space left on device" in failed.failure.message
        again = await it.start("quick_job", run)
        assert (again.outcome, again.failure) == (FAILED, failed.failure)
        assert it.noted("quick") == []


async def test_a_launch_waits_as_long_as_its_import_may_take(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent(location_wait_s=0.2):
        gate, run = tmp_path / "gate", new_run()
        await it.sync(it.location(GATE=str(gate)))
        await it.report(LOCATION_PHASE_IMPORTING)
        waiting = await it.tell(launch_run=it.launch("quick_job", run))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await it.result(waiting)
        gate.touch()
        assert (await it.result(waiting)).outcome == SUCCEEDED


async def test_questions_that_wait_for_a_location_hold_nobody_up(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent(prefetch=2):
        gate = tmp_path / "gate"
        await it.sync(it.location(GATE=str(gate)), it.location(name="other"))
        await it.report(LOCATION_PHASE_IMPORTING)
        question = ValidateRun(request=it.launch("quick_job", new_run()).request)
        asked = [await it.tell(validate_run=question, is_question=True) for _ in range(5)]
        launched = await it.result(await it.tell(launch_run=it.launch("quick_job", new_run(), location="other")))
        assert launched.outcome == SUCCEEDED
        assert not it.answers
        gate.touch()
        assert all([(await it.answer(one)).HasField("validate") for one in asked])
