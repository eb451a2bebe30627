"""An agent whose code servers are containers: a real broker, a real engine, real Dagster in the image."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from integration.agent_stand import new_run
from integration.docker_stand import DockerStand, docker_stand
from isthmus.v1.instruction_pb2 import (
    ISOLATION_SHARED,
    PULL_POLICY_NEVER,
    LogCursor,
)
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_FAILED,
    LOG_STREAM_STDOUT,
    RUN_REASON_CANCELED_BY_REQUEST,
    RUN_REASON_IMAGE_UNAVAILABLE,
    RUN_REASON_LOCATION_UNAVAILABLE,
    RUN_REASON_OUT_OF_MEMORY,
    RUN_REASON_PROCESS_EXITED,
    RUN_REASON_PROCESS_KILLED,
    RUN_REASON_REFUSED_BY_POLICY,
    InstructionResult,
)
from support.docker import docker
from support.eventually import eventually

pytestmark = pytest.mark.timeout(180)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED


@pytest.fixture
async def it(broker_url: str, short_path: Path, code_server_image: str) -> AsyncIterator[DockerStand]:
    async with docker_stand(url=broker_url, folder=short_path, image=code_server_image) as stand:
        yield stand


async def test_a_run_executes_in_a_container_of_its_own(it: DockerStand) -> None:
    async with it.agent():
        await it.serve(it.location())
        (serving,) = it.containers
        run = new_run()
        assert (await it.stand.start("quick_job", run)).outcome == SUCCEEDED
        assert (await it.stand.end(run)).HasField("run_succeeded")
        # Nothing is left of it but its files.
        await eventually(lambda: [one["Id"] for one in it.containers] == [serving["Id"]], within=10)
        answer = await it.stand.logs(run, max_bytes=1000, cursors=[LogCursor(stream=LOG_STREAM_STDOUT)])
        assert "said on stdout" in str(answer.logs)


async def test_a_shared_run_executes_in_the_locations_container(it: DockerStand) -> None:
    spec = it.location()
    spec.isolation = ISOLATION_SHARED
    async with it.agent():
        await it.serve(spec)
        run = new_run()
        assert (await it.stand.start("quick_job", run)).outcome == SUCCEEDED
        assert (await it.stand.end(run)).HasField("run_succeeded")
        assert len(it.containers) == 1


async def test_runs_go_on_without_the_agent_and_its_next_life_adopts_them(it: DockerStand) -> None:
    run = new_run()
    async with it.agent():
        await it.serve(it.location())
        assert (await it.stand.start("endless_job", run)).outcome == SUCCEEDED
        await eventually(lambda: it.stand.noted("endless"), within=20)
    before = {str(container["Id"]) for container in it.containers}
    assert len(before) == 2
    async with it.agent():
        await it.stand.heartbeat(lambda beat: run in beat.agent_heartbeat.active_runs)
        assert {str(container["Id"]) for container in it.containers} == before
        await it.stand.terminate(run)
        ended = await it.stand.end(run)
        assert ended.run_canceled.reason == RUN_REASON_CANCELED_BY_REQUEST
        await eventually(lambda: it.dedicated() == [], within=10)
        assert len(it.stand.noted("endless")) == 1


async def test_a_killed_container_is_told_as_its_runs_end(it: DockerStand) -> None:
    async with it.agent():
        await it.serve(it.location())
        run = new_run()
        assert (await it.stand.start("endless_job", run)).outcome == SUCCEEDED
        await eventually(lambda: it.stand.noted("endless"), within=20)
        (container,) = it.dedicated()
        docker("kill", container)
        ended = await it.stand.end(run)
        assert ended.run_failed.reason == RUN_REASON_PROCESS_KILLED


@pytest.mark.parametrize("job", ["greedy_job", "greedy_steps_job"])
async def test_a_run_that_ate_its_memory_is_told_as_such(it: DockerStand, job: str) -> None:
    spec = it.location()
    spec.container.limits.memory_bytes = 600_000_000
    async with it.agent():
        await it.serve(spec)
        run = new_run()
        assert (await it.stand.start(job, run)).outcome == SUCCEEDED
        assert (await it.stand.end(run)).run_failed.reason == RUN_REASON_OUT_OF_MEMORY


async def test_a_step_that_was_killed_after_memory_had_run_out_beside_it_is_told_as_killed(it: DockerStand) -> None:
    spec = it.location()
    spec.container.limits.memory_bytes = 600_000_000
    async with it.agent():
        await it.serve(spec)
        run = new_run()
        assert (await it.stand.start("killed_steps_job", run)).outcome == SUCCEEDED
        ended = await it.stand.end(run)
        assert it.stand.noted("killed")
        assert ended.run_failed.reason == RUN_REASON_PROCESS_KILLED


async def test_a_run_that_left_by_itself_is_told_with_its_code_and_its_output(it: DockerStand) -> None:
    async with it.agent():
        await it.serve(it.location())
        run = new_run()
        assert (await it.stand.start("leaving_job", run)).outcome == SUCCEEDED
        ended = (await it.stand.end(run)).run_failed
        assert ended.reason == RUN_REASON_PROCESS_EXITED
        assert ended.exit.exit_code == 3
        answer = await it.stand.logs(run, max_bytes=1000, cursors=[LogCursor(stream=LOG_STREAM_STDOUT)])
        assert "good-bye" in str(answer.logs)


async def test_a_missing_command_fails_the_location_and_says_so(it: DockerStand) -> None:
    spec = it.location()
    spec.container.command.append("/nowhere/server")
    async with it.agent():
        await it.stand.sync(spec)
        report = await it.stand.report(LOCATION_PHASE_FAILED)
        assert "/nowhere/server" in report.failure.message
        await eventually(lambda: it.containers == [], within=10)


async def test_a_missing_image_fails_the_location_and_says_so(it: DockerStand) -> None:
    spec = it.location()
    spec.container.image = "nowhere/nothing:1"
    spec.container.pull_policy = PULL_POLICY_NEVER
    async with it.agent():
        await it.stand.sync(spec)
        report = await it.stand.report(LOCATION_PHASE_FAILED)
        assert "nowhere/nothing:1" in report.failure.message
        launched = await it.stand.start("quick_job", new_run())
        assert launched.outcome == FAILED
        assert launched.reason in {RUN_REASON_IMAGE_UNAVAILABLE, RUN_REASON_LOCATION_UNAVAILABLE}


@pytest.mark.parametrize("source", ["/", "/etc", "/var/run/docker.sock"])
async def test_a_mount_that_the_owner_did_not_list_is_refused(it: DockerStand, source: str) -> None:
    spec = it.location()
    spec.container.mounts.add(source=source, target="/data")
    async with it.agent():
        await it.stand.sync(spec)
        report = await it.stand.report(LOCATION_PHASE_FAILED)
        assert "rule mounts" in report.failure.message
        launched = await it.stand.start("quick_job", new_run())
        assert (launched.outcome, launched.reason) == (FAILED, RUN_REASON_REFUSED_BY_POLICY)
        assert it.containers == []


async def test_files_of_runs_belong_to_whom_the_container_runs_as(it: DockerStand) -> None:
    async with it.agent():
        await it.serve(it.location())
        run = new_run()
        assert (await it.stand.start("quick_job", run)).outcome == SUCCEEDED
        await it.stand.end(run)
        (attempt,) = (it.stand.data_dir / "runs" / "sales").iterdir()
        assert attempt.stat().st_uid != os.getuid()
        assert (it.stand.data_dir / "runs").stat().st_mode & 0o777 == 0o700
