"""Runs in code servers of their own, by an agent on a real broker, with processes as its host."""

import asyncio
import os
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from textwrap import dedent

import pytest
from integration.agent_stand import AgentStand, agent_stand, is_alive, new_run, server_pids
from isthmus.v1.instruction_pb2 import ISOLATION_DEDICATED, LaunchRun, LocationSpec
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_ASLEEP,
    LOCATION_PHASE_SERVING,
    RUN_REASON_CANCELED_BY_REQUEST,
    RUN_REASON_INVALID_REQUEST,
    RUN_REASON_LOCATION_UNAVAILABLE,
    RUN_REASON_PROCESS_EXITED,
    RUN_REASON_PROCESS_KILLED,
    RUN_REASON_REFUSED_BY_POLICY,
    InstructionResult,
    RunRef,
)
from support.eventually import eventually

pytestmark = pytest.mark.timeout(180)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED

#: Behind the stand's project: jobs that end in ways of their own.
MORE = dedent(
    """
    import time
    from dagster import op as _op

    @_op
    def leaves():
        note("leaves")
        os._exit(3)

    @_op
    def waits():
        note("waits")
        while not (Path(os.environ["NOTES"]) / "go").exists():
            time.sleep(0.02)

    @job(executor_def=in_process_executor)
    def leaving_job():
        leaves()

    @job(executor_def=in_process_executor)
    def waiting_job():
        waits()

    @job(executor_def=in_process_executor, tags={"dagster/isolation": "disabled"})
    def tagged_job():
        quick()

    if os.environ.get("BROKEN_LATER") and (Path(os.environ["NOTES"]) / "broken").exists():
        raise RuntimeError("these definitions broke later")

    defs = Definitions(jobs=[quick_job, endless_job, leaving_job, waiting_job, tagged_job])
    """
)


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


def dedicated(
    it: AgentStand, *, standby: int = 0, generation: int = 1, idle_ttl_s: float = 0.0, **env: str
) -> LocationSpec:
    project = it.folder / "project.py"
    if MORE not in project.read_text():
        project.write_text(project.read_text() + MORE)
    spec = it.location(generation=generation, **env)
    spec.isolation, spec.standby, spec.idle_ttl_s = ISOLATION_DEDICATED, standby, idle_ttl_s
    return spec


async def serve(it: AgentStand, spec: LocationSpec) -> None:
    """Make a location serve, with as many servers standing by as it wants."""
    await it.sync(spec)
    await it.report(LOCATION_PHASE_SERVING, generation=spec.generation)
    if spec.standby:
        await standing_by(it, spec.standby, generation=spec.generation)


async def standing_by(it: AgentStand, count: int, *, generation: int = 1) -> None:
    told = len(it.events)
    await eventually(
        lambda: any(
            location.standby_ready == count and location.serving_generation == generation
            for event in it.events[told:]
            for location in event.agent_heartbeat.locations
        ),
        within=60,
    )


async def launch(it: AgentStand, job: str, run: RunRef, **tags: str) -> InstructionResult:
    return await it.result(await it.tell(launch_run=tagged(it, job, run, tags)))


def tagged(it: AgentStand, job: str, run: RunRef, tags: dict[str, str]) -> LaunchRun:
    body = it.launch(job, run)
    body.request.tags.update({f"isthmus/{name}": value for name, value in tags.items()})
    return body


async def test_a_run_takes_a_standby_which_is_replaced_and_ends_with_it(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it, standby=1))
        shared = {"sales-g1"}
        run = new_run()
        result = await launch(it, "waiting_job", run)
        assert result.outcome == SUCCEEDED
        assert (result.launch.is_dedicated, result.launch.was_standby) == (True, True)
        assert result.launch.server.rsplit("-", 2)[0] in shared
        await eventually(lambda: it.noted("waits"), within=20)
        await it.heartbeat(lambda beat: run in beat.agent_heartbeat.active_runs)
        # The shared one, the run's, and the next standby.
        await eventually(lambda: len(server_pids(it)) == 3, within=30)
        (it.notes / "go").touch()
        assert (await it.end(run)).HasField("run_succeeded")
        await eventually(lambda: len(server_pids(it)) == 2, within=30)
        assert len(it.noted("waits")) == 1


async def test_a_run_starts_cold_without_standby(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it))
        run = new_run()
        result = await launch(it, "quick_job", run)
        assert (result.outcome, result.launch.is_dedicated, result.launch.was_standby) == (SUCCEEDED, True, False)
        assert (await it.end(run)).HasField("run_succeeded")
        await eventually(lambda: len(server_pids(it)) == 1, within=30)
        answer = await it.logs(run)
        assert b"said on stdout" in b"".join(chunk.data for chunk in answer.logs.chunks)


async def test_a_server_that_has_gone_leaves_no_call_behind(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    def sending() -> int:
        return sum("_consume_request_iterator" in repr(task.get_coro()) for task in asyncio.all_tasks())

    async with stand as it, it.agent():
        await serve(it, dedicated(it))
        await eventually(lambda: sending() == 1, within=30)
        run = new_run()
        await launch(it, "quick_job", run)
        await eventually(lambda: sending() == 2, within=30)
        await it.end(run)
        await eventually(lambda: len(server_pids(it)) == 1, within=30)
        await eventually(lambda: sending() == 1, within=30)


async def test_a_run_goes_where_its_tags_say(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it))
        shared = await launch(it, "quick_job", new_run(), isolation="shared")
        assert (shared.outcome, shared.launch.is_dedicated) == (SUCCEEDED, False)
        by_job = await launch(it, "tagged_job", new_run())
        assert (by_job.outcome, by_job.launch.is_dedicated) == (SUCCEEDED, False)
        # A process has no limits: the run gets a server of its own kind, and that is all there is to it here.
        limited = await launch(it, "quick_job", new_run(), isolation="dedicated", memory="1GiB")
        assert (limited.outcome, limited.launch.is_dedicated) == (SUCCEEDED, True)
        wrong = await launch(it, "quick_job", new_run(), isolation="none", cpus="many")
        assert (wrong.outcome, wrong.reason) == (FAILED, RUN_REASON_INVALID_REQUEST)
        assert [one.field for one in wrong.violations] == ["tags['isthmus/cpus']", "tags['isthmus/isolation']"]


async def test_the_owner_refuses_what_a_run_asks_for(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('isolation = ["dedicated"]\nmax_memory = "1GB"\n')
    async with stand as it, it.agent(policy_file=policy):
        await serve(it, dedicated(it))
        for tags, rule in (({"isolation": "shared"}, "isolation"), ({"memory": "2GB"}, "max_memory")):
            refused = await launch(it, "quick_job", new_run(), **tags)
            assert (refused.outcome, refused.reason) == (FAILED, RUN_REASON_REFUSED_BY_POLICY)
            assert rule in refused.failure.message


async def test_a_burst_is_served_by_standbys_first_and_each_once(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it, standby=2))
        runs = [new_run() for _ in range(5)]
        ids = [await it.tell(launch_run=it.launch("quick_job", run)) for run in runs]
        results = [await it.result(id_) for id_ in ids]
        assert {result.outcome for result in results} == {SUCCEEDED}
        assert [result.launch.was_standby for result in results] == [True, True, False, False, False]
        assert len({result.launch.server for result in results}) == 5
        for run in runs:
            assert (await it.end(run)).HasField("run_succeeded")
        assert len(it.noted("quick")) == 5
        await standing_by(it, 2)
        await eventually(lambda: len(server_pids(it)) == 3, within=30)


async def test_a_launch_delivered_thrice_starts_one_server(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it))
        run = new_run()
        ids = [await it.tell(launch_run=it.launch("waiting_job", run)) for _ in range(3)]
        results = [await it.result(id_) for id_ in ids]
        assert {result.outcome for result in results} == {SUCCEEDED}
        assert sum(not result.launch.was_started_before for result in results) == 1
        assert {result.launch.server for result in results} == {results[0].launch.server}
        assert all(result.launch.is_dedicated for result in results)
        assert len(server_pids(it)) == 2
        (it.notes / "go").touch()
        assert (await it.end(run)).HasField("run_succeeded")
        assert len(it.noted("waits")) == 1
        late = await launch(it, "waiting_job", run)
        assert late.launch.was_started_before


async def test_what_ended_its_server_is_a_runs_reason(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it))
        run, leaving = new_run(), new_run()
        before = set(server_pids(it))
        pid = (await launch(it, "endless_job", run)).launch.pid
        (server,) = set(server_pids(it)) - before
        await eventually(lambda: it.noted("endless"), within=20)
        os.kill(server, signal.SIGKILL)
        killed = await it.end(run)
        assert killed.run_failed.reason == RUN_REASON_PROCESS_KILLED
        assert killed.run_failed.exit.signal == signal.SIGKILL
        assert any("run_started" in line for line in killed.run_failed.failure.stack)
        # It executes nothing more; the kernel may still be clearing it away.
        await eventually(lambda: not is_alive(pid), within=5)
        await launch(it, "leaving_job", leaving)
        left = await it.end(leaving)
        assert left.run_failed.reason == RUN_REASON_PROCESS_EXITED
        assert left.run_failed.exit.exit_code == 3
        await eventually(lambda: set(server_pids(it)) == before, within=30)


async def test_a_dedicated_run_is_terminated(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it))
        run = new_run()
        pid = (await launch(it, "endless_job", run)).launch.pid
        assert (await it.terminate(run)).outcome == SUCCEEDED
        assert not is_alive(pid)
        assert (await it.end(run)).run_canceled.reason == RUN_REASON_CANCELED_BY_REQUEST
        await eventually(lambda: len(server_pids(it)) == 1, within=30)


async def test_definitions_that_break_in_its_own_server_fail_the_run_at_once(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it, BROKEN_LATER="yes"))
        (it.notes / "broken").touch()
        failed = await launch(it, "quick_job", new_run())
        assert (failed.outcome, failed.reason) == (FAILED, RUN_REASON_LOCATION_UNAVAILABLE)
        assert "broke later" in failed.failure.cause.message
        await eventually(lambda: len(server_pids(it)) == 1, within=30)


async def test_a_new_generation_replaces_the_idle_and_leaves_the_runs(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await serve(it, dedicated(it, standby=1))
        run = new_run()
        pid = (await launch(it, "endless_job", run)).launch.pid
        await standing_by(it, 1)
        await it.sync(dedicated(it, standby=1, generation=2, BROKEN="yes"))
        old = await launch(it, "quick_job", new_run())
        assert old.launch.server.startswith("sales-g1-")
        await serve(it, dedicated(it, standby=1, generation=3))
        new = await launch(it, "quick_job", new_run())
        assert (new.outcome, new.launch.was_standby) == (SUCCEEDED, True)
        assert new.launch.server.startswith("sales-g3-")
        assert is_alive(pid)
        assert (await it.terminate(run)).outcome == SUCCEEDED
        await standing_by(it, 1, generation=3)
        await eventually(lambda: len(server_pids(it)) == 2, within=30)


async def test_a_location_that_is_slow_to_load_delays_no_other(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        slow = dedicated(it, standby=1, GATE=str(tmp_path / "gate"))
        slow.name = "slow"
        others = []
        for number in range(3):
            spec = dedicated(it)
            spec.name = f"other{number}"
            others.append(spec)
        await it.sync(slow, *others)
        waiting = await it.tell(launch_run=it.launch("quick_job", new_run(), location="slow"))
        for spec in others:
            body = it.launch("quick_job", new_run(), location=spec.name)
            assert (await it.result(await it.tell(launch_run=body))).outcome == SUCCEEDED
        assert not it.results(waiting)
        (tmp_path / "gate").touch()
        assert (await it.result(waiting)).outcome == SUCCEEDED


async def test_an_idle_location_ends_its_servers_and_comes_back_on_demand(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        # Far less than a standby takes to load, which is called off.
        await it.sync(dedicated(it, standby=1, idle_ttl_s=0.5))
        await it.report(LOCATION_PHASE_SERVING)
        run = new_run()
        await launch(it, "waiting_job", run)
        told = len(it.reports())
        await eventually(lambda: it.noted("waits"), within=20)
        (it.notes / "go").touch()
        await it.end(run)
        asleep = await it.report(LOCATION_PHASE_ASLEEP, after=told)
        assert (asleep.serving_generation, bool(asleep.snapshot_hash)) == (1, True)
        await eventually(lambda: server_pids(it) == [], within=30)
        again = new_run()
        result = await launch(it, "quick_job", again)
        assert (result.outcome, result.launch.is_dedicated) == (SUCCEEDED, True)
        await it.report(LOCATION_PHASE_SERVING, after=told)
        assert (await it.end(again)).HasField("run_succeeded")


async def test_a_killed_agent_finds_its_dedicated_runs_again(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it:
        environment = {
            **os.environ,
            "ISTHMUS_BROKER_URL": it.broker.url,
            "ISTHMUS_AGENT_NAME": "edge",
            "ISTHMUS_AGENT_DEPLOYMENT": "test",
            "ISTHMUS_AGENT_DATA_DIR": str(it.data_dir),
            "ISTHMUS_AGENT_RUNTIME_DIR": str(it.folder / "run"),
            "ISTHMUS_AGENT_HEARTBEAT_S": "0.5",
        }
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "isthmus_agent.main", env=environment)
        await serve(it, dedicated(it, standby=2))
        runs = [new_run() for _ in range(5)]
        ids = [await it.tell(launch_run=it.launch("waiting_job", run)) for run in runs]
        # In the middle of it: some run, some load, some are not even begun.
        await eventually(lambda: len(it.noted("waits")) >= 2, within=30)
        process.kill()
        await process.wait()
        async with it.agent():
            results = [await it.result(id_) for id_ in ids]
            assert {result.outcome for result in results} == {SUCCEEDED}
            await eventually(lambda: len(it.noted("waits")) == 5, within=60)
            await it.heartbeat(lambda beat: all(run in beat.agent_heartbeat.active_runs for run in runs))
            (it.notes / "go").touch()
            for run in runs:
                assert (await it.end(run)).HasField("run_succeeded")
            assert len(it.noted("waits")) == 5
            await standing_by(it, 2)
            await eventually(lambda: len(server_pids(it)) == 3, within=40)
