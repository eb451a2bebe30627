"""Locations on an agent: generations, failures, snapshots."""

import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from integration.agent_stand import AgentStand, agent_stand, is_alive, new_run, server_pids
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_FAILED,
    LOCATION_PHASE_REMOVED,
    LOCATION_PHASE_SERVING,
    RUN_REASON_LOCATION_UNAVAILABLE,
    InstructionResult,
)
from support.eventually import eventually

pytestmark = pytest.mark.timeout(120)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


async def test_a_failed_generation_leaves_the_old_one_serving(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.serve()
        await it.sync(it.location(generation=2, BROKEN="yes"))
        failed = await it.report(LOCATION_PHASE_FAILED, generation=2)
        assert failed.serving_generation == 1
        assert failed.failure.error_class == "RuntimeError"
        assert "these definitions are broken" in failed.failure.message
        assert any("project.py" in frame for frame in failed.failure.stack)
        assert (await it.start("quick_job", new_run())).outcome == SUCCEEDED
        assert (await it.serve(generation=3)).serving_generation == 3
        await eventually(lambda: len(server_pids(it)) == 1, within=15)


async def test_the_old_generation_is_started_again_while_the_new_one_cannot_be_loaded(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        await it.sync(it.location(generation=2, BROKEN="yes"))
        await it.report(LOCATION_PHASE_FAILED, generation=2)
        await eventually(lambda: len(server_pids(it)) == 1, within=15)
        (old,) = server_pids(it)
        os.kill(old, signal.SIGKILL)
        await eventually(lambda: server_pids(it) not in ([], [old]), within=15)
        launched = await it.start("quick_job", new_run())
        assert launched.outcome == SUCCEEDED
        assert launched.launch.server.startswith("sales-g1-")


async def test_a_location_that_cannot_be_loaded_refuses_launches_with_its_error(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.sync(it.location(BROKEN="yes"))
        launched = await it.start("quick_job", new_run())
        assert (launched.outcome, launched.reason) == (FAILED, RUN_REASON_LOCATION_UNAVAILABLE)
        assert "these definitions are broken" in launched.failure.cause.message


async def test_runs_keep_their_server_when_the_location_moves_on(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        pid = (await it.start("endless_job", run)).launch.pid
        await it.serve(generation=2)
        assert len(server_pids(it)) == 2
        assert is_alive(pid)
        assert (await it.terminate(run)).outcome == SUCCEEDED
        await eventually(lambda: len(server_pids(it)) == 1, within=15)


async def test_a_removed_location_takes_no_launches(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.serve()
        assert (await it.sync()).outcome == SUCCEEDED
        assert (await it.report(LOCATION_PHASE_REMOVED)).serving_generation == 0
        assert (await it.start("quick_job", new_run())).reason == RUN_REASON_LOCATION_UNAVAILABLE
        await eventually(lambda: server_pids(it) == [], within=15)


async def test_an_outdated_set_of_locations_changes_nothing(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.sync(it.location(), revision=7)
        await it.report(LOCATION_PHASE_SERVING)
        assert (await it.sync(revision=6)).outcome == SUCCEEDED
        assert (await it.start("quick_job", new_run())).outcome == SUCCEEDED
        await it.heartbeat(lambda beat: beat.agent_heartbeat.desired_revision == 7)


async def test_a_snapshot_is_sent_only_where_it_is_not_known(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        first = await it.serve()
        assert first.HasField("snapshot")
        spec = it.location(generation=2)
        spec.known_snapshot_hash = first.snapshot_hash
        await it.sync(spec)
        second = await it.report(LOCATION_PHASE_SERVING, generation=2)
        assert second.snapshot_hash == first.snapshot_hash
        assert not second.HasField("snapshot")
        told = len(it.reports())
        await it.sync(it.location(generation=2))
        third = await it.report(LOCATION_PHASE_SERVING, generation=2, after=told)
        assert third.HasField("snapshot")
