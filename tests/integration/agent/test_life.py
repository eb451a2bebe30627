"""An agent's own life: questions, policy, outages, drains and signals."""

import asyncio
import os
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from integration.agent_stand import AgentStand, agent_stand, is_alive, new_run, server_pids
from isthmus.v1.instruction_pb2 import (
    DrainAgent,
    EvaluateSchedule,
    EvaluateSensor,
    LogCursor,
    ValidateRun,
)
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_FAILED,
    LOCATION_PHASE_IMPORTING,
    LOG_STREAM_STDOUT,
    RUN_REASON_INVALID_REQUEST,
    RUN_REASON_LOCATION_UNAVAILABLE,
    RUN_REASON_REFUSED_BY_POLICY,
    RUN_REASON_WORKER_LOST,
    InstructionResult,
)
from isthmus_agent.errors import DataFolderInUseError
from isthmus_broker.declaring import remove_agent
from isthmus_spool.attempt_folder import AttemptFolder
from pydantic import SecretStr
from support.eventually import eventually, patiently
from support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(120)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED
UNSUPPORTED = InstructionResult.OUTCOME_UNSUPPORTED


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


async def test_a_drained_agent_takes_no_new_runs(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it:
        async with it.agent():
            await it.serve()
            run = new_run()
            assert (await it.start("endless_job", run)).outcome == SUCCEEDED
            assert (await it.result(await it.tell(drain_agent=DrainAgent()))).outcome == SUCCEEDED
            await it.heartbeat(lambda beat: beat.agent_heartbeat.is_draining)
            refused = await it.start("quick_job", new_run())
            assert (refused.outcome, refused.reason) == (FAILED, RUN_REASON_LOCATION_UNAVAILABLE)
            assert "no new runs" in refused.failure.message
            await it.heartbeat(lambda beat: run in beat.agent_heartbeat.active_runs)
        async with it.agent():
            assert (await it.start("quick_job", new_run())).outcome == SUCCEEDED


async def test_an_agent_that_stops_waits_for_nothing_that_waits_itself_and_the_next_one_goes_on_with_it(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it:
        gate, run = tmp_path / "gate", new_run()
        async with patiently(60), it.agent(drain_timeout_s=3600):
            await it.sync(it.location(GATE=str(gate)))
            waiting = await it.tell(launch_run=it.launch("quick_job", run))
            await it.report(LOCATION_PHASE_IMPORTING)
        assert not it.results(waiting)
        gate.touch()
        async with it.agent():
            assert (await it.result(waiting)).outcome == SUCCEEDED
            assert (await it.end(run)).HasField("run_succeeded")


async def test_output_is_read_while_the_server_lives_and_after(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        await it.start("quick_job", run)
        await it.end(run)

        async def whole() -> InstructionResult | None:
            answer = await it.logs(run)
            return answer if answer.logs.is_complete else None

        answer = await eventually(whole, within=15)
        output = {chunk.stream: chunk.data for chunk in answer.logs.chunks}
        assert b"said on stdout" in output[LOG_STREAM_STDOUT]
        await it.sync()
        await eventually(lambda: server_pids(it) == [], within=15)
        later = await it.logs(run)
        assert {chunk.stream: chunk.data for chunk in later.logs.chunks} == output
        piece = await it.logs(run, max_bytes=4, cursors=[LogCursor(stream=LOG_STREAM_STDOUT, offset=5)])
        assert [(chunk.offset, chunk.data) for chunk in piece.logs.chunks] == [(5, b"on s")]
        assert not piece.logs.is_complete
        missing = await it.logs(new_run())
        assert missing.outcome == FAILED
        assert not any(result.HasField("logs") for result in [event.instruction_result for event in it.events])


async def test_questions_about_definitions_are_answered(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.serve()
        good = ValidateRun(request=it.launch("quick_job", new_run()).request)
        bad = ValidateRun(request=it.launch("no_such_job", new_run()).request)
        valid = await it.answer(await it.tell(validate_run=good, is_question=True))
        assert valid.HasField("validate")
        invalid = await it.answer(await it.tell(validate_run=bad, is_question=True))
        assert (invalid.outcome, invalid.reason) == (FAILED, RUN_REASON_INVALID_REQUEST)
        tick = EvaluateSchedule(location="sales", schedule_name="nightly")
        tick.scheduled_at.FromJsonString("2026-01-01T00:00:00Z")
        scheduled = await it.answer(await it.tell(evaluate_schedule=tick, is_question=True))
        assert [run.run_key for run in scheduled.schedule.runs] == ["night"]
        look = EvaluateSensor(location="sales", sensor_name="watcher", cursor="before")
        sensed = await it.answer(await it.tell(evaluate_sensor=look, is_question=True))
        assert sensed.sensor.cursor == "after"
        wrong = EvaluateSensor(location="sales", sensor_name="nobody")
        assert (await it.answer(await it.tell(evaluate_sensor=wrong, is_question=True))).outcome == FAILED


async def test_what_the_owner_does_not_allow_is_refused(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('env_names = ["NOTES"]\n')
    async with stand as it, it.agent(policy_file=policy):
        await it.sync(it.location(SECRET="x"))
        report = await it.report(LOCATION_PHASE_FAILED)
        assert "env_names" in report.failure.message
        launched = await it.start("quick_job", new_run())
        assert (launched.outcome, launched.reason) == (FAILED, RUN_REASON_REFUSED_BY_POLICY)
        assert server_pids(it) == []


async def test_two_agents_do_not_share_a_folder(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        with pytest.raises(ExceptionGroup) as caught:
            async with it.agent():
                pytest.fail("the second agent started")
        assert caught.value.subgroup(DataFolderInUseError)


async def test_an_agent_that_was_not_created_waits_until_it_is(
    stand: AbstractAsyncContextManager[AgentStand], capsys: pytest.CaptureFixture[str]
) -> None:
    async with stand as it:
        await remove_agent(it.broker, deployment="test", agent="edge")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_create_when_asked(it, capsys))
            async with it.agent():
                assert (await it.result(await it.tell())).outcome == UNSUPPORTED


async def _create_when_asked(it: AgentStand, capsys: pytest.CaptureFixture[str]) -> None:
    from isthmus_broker.declaring import declare_agent

    await eventually(lambda: "isthmus agent create edge" in capsys.readouterr().out, within=10)
    await declare_agent(it.broker, deployment="test", agent="edge")


async def test_code_servers_end_with_an_agent_that_is_told_so(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it:
        async with it.agent(stops_servers_on_exit=True):
            await it.serve()
            pids = server_pids(it)
            assert all(is_alive(pid) for pid in pids)
        assert not any(is_alive(pid) for pid in pids)


async def test_a_broker_outage_stops_nothing_and_loses_nothing(
    stand: AbstractAsyncContextManager[AgentStand], broker_url: str
) -> None:
    parts = urlsplit(broker_url)
    async with (
        stand as it,
        TcpProxy.to(parts.hostname or "", parts.port or 0) as proxy,
        it.agent(broker_url=SecretStr(proxy.url_for(broker_url))),
    ):
        await it.serve()
        run, late = new_run(), new_run()
        pid = (await it.start("endless_job", run)).launch.pid
        await eventually(lambda: it.noted("endless"), within=15)
        proxy.refuse()
        waiting = await it.tell(launch_run=it.launch("quick_job", late))
        os.kill(server_pids(it)[0], signal.SIGKILL)
        folder = AttemptFolder.for_run(it.data_dir / "runs" / "sales", run)
        await eventually(lambda: b"WorkerLost" in folder.journal.read_bytes(), within=10)
        assert not folder.is_done
        await eventually(lambda: not is_alive(pid), within=2)
        proxy.resume()
        assert (await it.end(run)).run_failed.reason == RUN_REASON_WORKER_LOST
        assert (await it.result(waiting)).outcome == SUCCEEDED
        assert (await it.end(late)).HasField("run_succeeded")
        assert len(it.noted("quick")) == 1


def command(it: AgentStand, **environment: str) -> dict[str, str]:
    return {
        **os.environ,
        "ISTHMUS_BROKER_URL": it.broker.url,
        "ISTHMUS_AGENT_NAME": "edge",
        "ISTHMUS_AGENT_DEPLOYMENT": "test",
        "ISTHMUS_AGENT_DATA_DIR": str(it.data_dir),
        "ISTHMUS_AGENT_RUNTIME_DIR": str(it.folder / "run"),
        **environment,
    }


async def test_the_command_drains_on_sigterm_and_leaves_its_servers(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "isthmus_agent.main", env=command(it))
        await it.serve()
        (server,) = server_pids(it)
        process.terminate()
        assert await process.wait() == 0
        await eventually(lambda: any(event.HasField("agent_stopped") for event in it.events), within=5)
        assert is_alive(server)


async def test_a_second_signal_ends_the_command_at_once(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it:
        gate = tmp_path / "gate"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "isthmus_agent.main", env=command(it), stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        await it.sync(it.location(GATE=str(gate)))
        waiting = await it.tell(launch_run=it.launch("quick_job", new_run()))
        await it.report(LOCATION_PHASE_IMPORTING)
        process.terminate()
        while b"service_stopping" not in (line := await process.stderr.readline()):
            assert line, "the command ended before it said that it stops"
        process.terminate()
        assert await process.wait() == 128 + signal.SIGTERM
        gate.touch()
        async with it.agent():
            assert (await it.result(waiting)).outcome == SUCCEEDED


async def test_the_command_names_the_setting_that_is_missing(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "isthmus_agent.main", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 78
    assert b"ISTHMUS_AGENT_NAME" in errors
