"""The agent against a real broker, with real code servers and real Dagster."""

import asyncio
import json
import os
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
from integration.agent_stand import AgentStand, agent_stand, new_run
from isthmus.v1.instruction_pb2 import (
    DrainAgent,
    EvaluateSchedule,
    EvaluateSensor,
    Instruction,
    LogCursor,
    ValidateRun,
)
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_FAILED,
    LOCATION_PHASE_IMPORTING,
    LOCATION_PHASE_REMOVED,
    LOCATION_PHASE_SERVING,
    LOG_STREAM_STDOUT,
    RUN_REASON_CANCELED_BY_REQUEST,
    RUN_REASON_INVALID_REQUEST,
    RUN_REASON_LOCATION_UNAVAILABLE,
    RUN_REASON_REFUSED_BY_POLICY,
    RUN_REASON_WORKER_LOST,
    InstructionResult,
    RunRef,
)
from isthmus_agent.errors import DataFolderInUseError
from isthmus_agent.hosts.process import procfs
from isthmus_broker.journal import AttemptFolder
from isthmus_broker.topology import DEAD, remove_agent
from pydantic import SecretStr
from support.eventually import eventually
from support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(120)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED
EXPIRED = InstructionResult.OUTCOME_EXPIRED
UNSUPPORTED = InstructionResult.OUTCOME_UNSUPPORTED


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped by whoever adopted it does not."""
    return procfs.start_ticks(pid) is not None


def server_pids(stand: AgentStand) -> list[int]:
    """The code servers' processes, by their records."""
    records = (stand.data_dir / "servers").glob("*/record.json")
    return [json.loads(record.read_text())["pid"] for record in records]


async def test_a_launch_runs_to_its_end(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        report = await it.serve()
        assert report.serving_generation == 1
        assert [job.name for job in report.snapshot.jobs if not job.is_implicit_asset_job] == [
            "endless_job",
            "quick_job",
        ]
        assert report.framework.startswith("dagster ")
        run = new_run()
        result = await it.start("quick_job", run)
        assert result.outcome == SUCCEEDED
        assert result.launch.pid
        assert not result.launch.was_started_before
        assert (await it.end(run)).HasField("run_succeeded")
        assert [event.seq for event in it.run_events(run)] == list(range(1, len(it.run_events(run)) + 1))
        assert len(it.noted("quick")) == 1


async def test_a_redelivered_launch_starts_nothing_twice(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        launches = [it.tell(launch_run=it.launch("quick_job", run)) for _ in range(5)]
        results = [await it.result(id_) for id_ in await asyncio.gather(*launches)]
        assert {result.outcome for result in results} == {SUCCEEDED}
        assert sum(not result.launch.was_started_before for result in results) == 1
        assert (await it.end(run)).HasField("run_succeeded")
        late = await it.start("quick_job", run)
        assert late.outcome == SUCCEEDED
        assert late.launch.was_started_before
        assert len(it.noted("quick")) == 1


async def test_a_launch_waits_for_its_location_to_load(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        gate = tmp_path / "gate"
        # The second location is not delayed by the first one's slow import.
        other = it.location(name="other")
        await it.sync(it.location(GATE=str(gate)), other)
        await it.report(LOCATION_PHASE_IMPORTING)
        run, quick = new_run(), new_run()
        waiting = await it.tell(launch_run=it.launch("quick_job", run))
        quick_id = await it.tell(launch_run=it.launch("quick_job", quick, location="other"))
        assert (await it.result(quick_id)).outcome == SUCCEEDED
        assert not it.results(waiting)
        gate.touch()
        assert (await it.result(waiting)).outcome == SUCCEEDED
        assert (await it.end(run)).HasField("run_succeeded")


async def test_a_request_that_does_not_fit_the_definitions_is_refused(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        result = await it.start("no_such_job", new_run())
        assert (result.outcome, result.reason) == (FAILED, RUN_REASON_INVALID_REQUEST)
        assert result.violations


async def test_what_cannot_be_done_is_said(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        unknown_location = await it.start("quick_job", new_run())
        assert (unknown_location.outcome, unknown_location.reason) == (FAILED, RUN_REASON_LOCATION_UNAVAILABLE)
        assert "sales" in unknown_location.failure.message
        expired = await it.result(await it.tell(launch_run=it.launch("quick_job", new_run()), in_s=-1))
        assert expired.outcome == EXPIRED
        # A body that this agent does not know yet: a field beyond the contract's.
        newer = Instruction.FromString(
            Instruction(id="newer", deployment="test", agent="edge").SerializeToString() + b"\xfa\x07\x00"
        )
        await it.send(newer)
        assert (await it.result("newer")).outcome == UNSUPPORTED
        sneaky = await it.start("quick_job", RunRef(run_id="../../sneaky", attempt=1))
        assert (sneaky.outcome, sneaky.reason) == (FAILED, RUN_REASON_INVALID_REQUEST)
        bad_name = await it.sync(it.location(name="../up"))
        assert bad_name.outcome == FAILED
        assert bad_name.violations


async def test_garbage_is_kept_aside_and_delays_nothing(
    stand: AbstractAsyncContextManager[AgentStand], broker_url: str
) -> None:
    async with stand as it, it.agent():
        whole = Instruction(id="x", deployment="test", agent="edge", drain_agent=DrainAgent()).SerializeToString()
        poison = {b"\xff\xff garbage", whole[:-1], b""}
        for body in poison:
            await it.send_bytes(body)
        assert (await it.result(await it.tell(in_s=None))).outcome == UNSUPPORTED
        async with await aio_pika.connect(broker_url) as connection, connection.channel() as channel:
            dead: set[bytes] = set()

            async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                dead.add(message.body)

            await (await channel.get_queue(DEAD)).consume(note, no_ack=True)
            await eventually(lambda: dead == poison, within=10)


async def test_a_run_that_is_ended_before_its_launch_never_starts(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it:
        run = new_run()
        async with it.agent():
            await it.serve()
            ended = await it.terminate(run)
            assert (ended.outcome, ended.terminate.was_not_running) == (SUCCEEDED, True)
        async with it.agent():
            await it.heartbeat(lambda beat: len(beat.agent_heartbeat.locations) == 1)
            refused = await it.start("quick_job", run)
            assert (refused.outcome, refused.reason) == (FAILED, RUN_REASON_CANCELED_BY_REQUEST)
            retry = RunRef(run_id=run.run_id, attempt=2)
            assert (await it.start("quick_job", retry)).outcome == SUCCEEDED
            await it.end(retry)
        assert len(it.noted("quick")) == 1


async def test_a_launch_that_waits_for_its_location_can_be_ended(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        gate, run = tmp_path / "gate", new_run()
        await it.sync(it.location(GATE=str(gate)))
        await it.report(LOCATION_PHASE_IMPORTING)
        waiting = await it.tell(launch_run=it.launch("quick_job", run))
        assert (await it.terminate(run)).terminate.was_not_running
        gate.touch()
        refused = await it.result(waiting)
        assert (refused.outcome, refused.reason) == (FAILED, RUN_REASON_CANCELED_BY_REQUEST)
        assert it.noted("quick") == []


async def test_a_running_run_is_ended(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        pid = (await it.start("endless_job", run)).launch.pid
        await it.heartbeat(lambda beat: run in beat.agent_heartbeat.active_runs)
        result = await it.terminate(run)
        assert (result.outcome, result.terminate.was_not_running) == (SUCCEEDED, False)
        assert not is_alive(pid)
        assert (await it.end(run)).HasField("run_canceled")
        again = await it.terminate(run)
        assert (again.outcome, again.terminate.was_not_running) == (SUCCEEDED, True)


async def test_a_killed_code_server_is_replaced_and_its_runs_are_closed(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        pid = (await it.start("endless_job", run)).launch.pid
        await eventually(lambda: it.noted("endless"), within=15)
        told = len(it.reports())
        os.kill(server_pids(it)[0], signal.SIGKILL)
        end = await it.end(run)
        assert end.run_failed.reason == RUN_REASON_WORKER_LOST
        assert end.run_failed.exit.signal == signal.SIGKILL
        await eventually(lambda: not is_alive(pid), within=2)
        events = it.run_events(run)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1] == end
        assert (await it.report(LOCATION_PHASE_FAILED, after=told)).failure.error_class == "CodeServerExited"
        await it.report(LOCATION_PHASE_SERVING, after=told)
        assert (await it.start("quick_job", new_run())).outcome == SUCCEEDED
        assert (await it.start("endless_job", run)).launch.was_started_before
        assert len(it.noted("endless")) == 1


async def test_a_restarted_agent_adopts_what_runs(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it:
        run = new_run()
        async with it.agent():
            await it.serve()
            pid = (await it.start("endless_job", run)).launch.pid
            servers = server_pids(it)
        assert any(event.HasField("agent_stopped") for event in it.events)
        assert is_alive(pid)
        told = len(it.reports())
        async with it.agent():
            # Without a word from the control plane.
            await it.report(LOCATION_PHASE_SERVING, after=told)
            assert server_pids(it) == servers
            assert (await it.start("endless_job", run)).launch.was_started_before
            await it.heartbeat(lambda beat: run in beat.agent_heartbeat.active_runs)
            assert (await it.terminate(run)).outcome == SUCCEEDED
            assert not is_alive(pid)
            assert (await it.end(run)).HasField("run_canceled")


async def test_runs_of_a_server_that_died_unseen_are_closed(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it:
        run = new_run()
        async with it.agent():
            await it.serve()
            pid = (await it.start("endless_job", run)).launch.pid
            await eventually(lambda: it.noted("endless"), within=15)
        (server,) = server_pids(it)
        os.kill(server, signal.SIGKILL)
        await eventually(lambda: not is_alive(server), within=5)
        async with it.agent():
            end = await it.end(run)
            assert end.run_failed.reason == RUN_REASON_WORKER_LOST
            assert not end.run_failed.HasField("exit")
            await eventually(lambda: not is_alive(pid), within=2)
            folder = AttemptFolder.for_run(it.data_dir / "runs" / "sales", run)
            await eventually(lambda: folder.is_done, within=5)


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


async def test_an_agent_that_stops_returns_what_it_cannot_finish(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it:
        gate, run = tmp_path / "gate", new_run()
        async with it.agent(drain_timeout_s=0.1):
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
    from isthmus_broker.topology import declare_agent

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
        while b"agent_stopping" not in (line := await process.stderr.readline()):
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
