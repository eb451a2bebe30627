"""Runs in real processes: started once, watched, ended for good. There is no broker: what they say is in the journals."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_code_server.attempts.errors import AttemptFencedError
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.errors import NotLoadedError, ZygoteLostError
from isthmus_code_server.runs.output import stream_output
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.runs.zygote_link import ZygoteLink
from isthmus_code_server.runs.zygote_process import ZygoteProcess
from isthmus_code_server.zygote.wire import FrameKind, LoadOrder
from isthmus_spool.journal import JournalReader
from support.eventually import eventually, patiently
from support_code_server import bodies, run_request
from support_supervisor import ended, folder_of, is_alive, journal, start_sleeping, started, supervising


async def test_runs_side_by_side_each_in_a_process_and_a_group_of_its_own(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        answers = await asyncio.gather(
            *(supervisor.start(run_request("smallest", run_id=f"r{number}")) for number in range(5))
        )
        pids = {answer.accepted.pid for answer in answers}
        assert len(pids) == 5
        assert os.getpid() not in pids
        for number, answer in enumerate(answers):
            events = await ended(supervisor, f"r{number}")
            assert bodies(events)[-1] == "run_succeeded"
            assert events[0].run_started.pid == answer.accepted.pid
            assert all(event.run.run_id == f"r{number}" and event.run.attempt == 1 for event in events)


async def test_output_goes_to_files_that_can_be_followed(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        await supervisor.start(run_request("printing", run_id="r"))
        folder = folder_of(supervisor, "r")
        chunks = [
            chunk
            async for chunk in stream_output(
                folder, cursors=[], is_live=lambda: supervisor.is_live(folder), follow=True
            )
        ]
        text = {
            stream: b"".join(chunk.data for chunk in chunks if chunk.stream == stream).decode()
            for stream in (telemetry.LOG_STREAM_STDOUT, telemetry.LOG_STREAM_STDERR)
        }
        assert text[telemetry.LOG_STREAM_STDOUT] == "to stdout\n"
        assert "to stderr\n" in text[telemetry.LOG_STREAM_STDERR]
        assert "warm" not in text[telemetry.LOG_STREAM_STDERR]


async def test_a_launch_is_idempotent_and_later_attempts_fence_earlier_ones(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        request = run_request("smallest", run_id="r")
        request.run.attempt = 2
        first, second = await asyncio.gather(supervisor.start(request), supervisor.start(request))
        assert (first.accepted.was_started_before, second.accepted.was_started_before) == (False, True)
        assert first.accepted.pid == second.accepted.pid
        await eventually(lambda: not supervisor.live, within=10)
        third = await supervisor.start(request)
        assert third.accepted.was_started_before
        assert (
            bodies(list(JournalReader(folder_of(supervisor, "r", 2).journal).read().events)).count("run_started") == 1
        )
        with pytest.raises(AttemptFencedError, match="attempt 2"):
            await supervisor.start(run_request("smallest", run_id="r"))
        assert not folder_of(supervisor, "r").is_claimed


async def test_a_refused_run_leaves_nothing_behind(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        answer = await supervisor.start(run_request("configured", run_id="r"))
        assert [violation.field for violation in answer.rejected.violations] == ["run_config.ops"]
        assert not folder_of(supervisor, "r").is_claimed
        assert not supervisor.live
        validated = pb.ValidateRunRequest(request=run_request("configured"))
        told = await supervisor.ask(FrameKind.VALIDATE, validated, question="validate the run")
        assert pb.ValidateRunResponse.FromString(told).violations == answer.rejected.violations


async def test_a_killed_run_is_told_within_a_second(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        pid = await start_sleeping(supervisor, "r", tmp_path)
        os.kill(pid, signal.SIGKILL)
        killed_at = time.monotonic()
        events = await ended(supervisor, "r")
        assert time.monotonic() - killed_at < 1.0
        failed = events[-1].run_failed
        assert failed.reason == telemetry.RUN_REASON_PROCESS_KILLED
        assert failed.exit.signal == signal.SIGKILL
        assert not failed.exit.HasField("exit_code")


async def test_an_exit_in_the_middle_of_user_code_is_told_with_its_code(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        await supervisor.start(run_request("exiting", run_id="r"))
        failed = (await ended(supervisor, "r"))[-1].run_failed
        assert failed.reason == telemetry.RUN_REASON_PROCESS_EXITED
        assert failed.exit.exit_code == 7


async def test_a_canceled_run_is_interrupted_and_gone(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        pid = await start_sleeping(supervisor, "r", tmp_path)
        assert await supervisor.cancel(telemetry.RunRef(run_id="r", attempt=1))
        assert not is_alive(pid)
        events = journal(supervisor, "r")
        assert bodies(events).count("run_canceled") == 1
        assert events[-1].run_canceled.reason == telemetry.RUN_REASON_CANCELED_BY_REQUEST
        # It was interrupted, not killed: Dagster could tell of the step's end.
        assert "step_failed" in bodies(events)
        assert not await supervisor.cancel(telemetry.RunRef(run_id="r", attempt=1))


async def test_a_run_that_ignores_signals_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        ready = tmp_path / "ready"
        config = {"ops": {"stubborn": {"config": {"ready": str(ready)}}}}
        answer = await supervisor.start(run_request("stubborn_job", config=config, run_id="r"))
        helper = int(await eventually(lambda: ready.exists() and ready.read_text(), within=10))
        assert await supervisor.cancel(telemetry.RunRef(run_id="r", attempt=1), grace_s=0.4)
        assert not is_alive(answer.accepted.pid)
        assert not is_alive(helper)
        canceled = journal(supervisor, "r")[-1].run_canceled
        assert canceled.exit.signal == signal.SIGKILL


async def test_a_stopping_server_cancels_its_runs_and_takes_no_more(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        pids = [await start_sleeping(supervisor, run_id, tmp_path) for run_id in ("r1", "r2")]
        await supervisor.stop(flush_timeout_s=0)
        assert not any(is_alive(pid) for pid in pids)
        for run_id in ("r1", "r2"):
            assert journal(supervisor, run_id)[-1].run_canceled.reason == telemetry.RUN_REASON_CODE_SERVER_STOPPED
        with pytest.raises(NotLoadedError):
            await supervisor.start(run_request("smallest", run_id="r3"))


async def test_a_run_canceled_in_the_moment_of_its_start_is_canceled(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor, asyncio.TaskGroup() as tasks:
        ready = tmp_path / "never"
        config = {"ops": {"sleeps": {"config": {"ready": str(ready), "seconds": 60.0}}}}
        request = run_request("sleeping", config=config, run_id="r")
        starting = tasks.create_task(supervisor.start(request))
        await eventually(lambda: supervisor.is_live(folder_of(supervisor, "r")), within=5, every=0.001)
        assert await supervisor.cancel(telemetry.RunRef(run_id="r", attempt=1))
        answer = await starting
        assert not is_alive(answer.accepted.pid)
        assert journal(supervisor, "r")[-1].run_canceled.reason == telemetry.RUN_REASON_CANCELED_BY_REQUEST


async def test_a_zygote_that_dies_before_it_is_told_what_to_import_is_lost() -> None:
    process = ZygoteProcess.start()
    process.process.kill()
    process.process.wait()
    process.load(LoadOrder(source=DefinitionsSource(module="jobs"), home="/nowhere"))
    zygote = ZygoteLink(process)
    await zygote.run()
    with pytest.raises(ZygoteLostError):
        await zygote.described()


async def test_a_server_can_be_stopped_while_it_imports(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    source = DefinitionsSource(python_file=str(tmp_path / "slow.py"))
    zygote = ZygoteLink(started(LoadOrder(source=source, home=str(tmp_path))))
    async with asyncio.TaskGroup() as tasks, patiently(10):
        task = tasks.create_task(zygote.run())
        await eventually(lambda: zygote.pid, within=5)
        assert zygote.phase == "loading"
        zygote.close()
        await task
        assert zygote.phase == "stopped"


async def test_runs_die_with_the_zygote_and_are_told(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        pid = await start_sleeping(supervisor, "r", tmp_path)
        assert supervisor.zygote.pid is not None
        os.kill(supervisor.zygote.pid, signal.SIGKILL)
        await eventually(lambda: not is_alive(pid), within=5)
        assert (await ended(supervisor, "r"))[-1].run_failed.reason == telemetry.RUN_REASON_WORKER_LOST
        with pytest.raises(NotLoadedError):
            await supervisor.start(run_request("smallest", run_id="next"))


async def test_a_project_that_cannot_be_loaded_is_described_by_its_failure(tmp_path: Path) -> None:
    async with supervising(tmp_path, module="broken") as supervisor:
        described = await supervisor.zygote.described()
        assert described.failure.error_class == "RuntimeError"
        assert described.failure.cause.error_class == "KeyError"
        assert described.python_version
        with pytest.raises(NotLoadedError, match="failed"):
            await supervisor.start(run_request("smallest"))


async def test_schedules_and_sensors_are_evaluated_in_a_child(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        request = pb.EvaluateScheduleRequest(schedule_name="broken_schedule")
        request.scheduled_at.FromJsonString("2024-03-01T02:00:00Z")
        told = await supervisor.ask(FrameKind.SCHEDULE, request, question="evaluate the schedule")
        failure = pb.EvaluateScheduleResponse.FromString(told).failure
        assert (failure.error_class, failure.message) == ("LookupError", "no calendar")
        sensor = pb.EvaluateSensorRequest(sensor_name="files", cursor="1")
        told = await supervisor.ask(FrameKind.SENSOR, sensor, question="evaluate the sensor")
        assert pb.EvaluateSensorResponse.FromString(told).answer.cursor == "2"


async def test_a_run_takes_a_child_that_waited_and_another_takes_its_place(tmp_path: Path) -> None:
    async with supervising(tmp_path, spares=2) as supervisor:
        waiting = await eventually(lambda: _waiting(supervisor, 2), within=15)
        answer = await supervisor.start(run_request("smallest", run_id="r"))
        assert answer.accepted.pid in waiting
        assert bodies(await ended(supervisor, "r"))[-1] == "run_succeeded"
        again = await eventually(lambda: _waiting(supervisor, 2), within=15)
        assert again - waiting


async def test_a_burst_beyond_those_that_wait_is_served(tmp_path: Path) -> None:
    async with supervising(tmp_path, spares=2) as supervisor:
        await eventually(lambda: _waiting(supervisor, 2), within=15)
        await asyncio.gather(*(supervisor.start(run_request("smallest", run_id=f"r{number}")) for number in range(6)))
        for number in range(6):
            assert bodies(await ended(supervisor, f"r{number}"))[-1] == "run_succeeded"


async def test_a_waiting_child_that_dies_costs_nothing(tmp_path: Path) -> None:
    async with supervising(tmp_path, spares=1) as supervisor:
        (pid,) = await eventually(lambda: _waiting(supervisor, 1), within=15)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not Path(f"/proc/{pid}").exists(), within=10)
        assert (await supervisor.start(run_request("smallest", run_id="r"))).HasField("accepted")
        assert bodies(await ended(supervisor, "r"))[-1] == "run_succeeded"


def _waiting(supervisor: Supervisor, count: int) -> set[int]:
    """Return the zygote's children that have warmed up and wait, once there are so many and no others."""
    zygote = supervisor.zygote.pid
    children = {int(pid) for pid in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()}
    asleep = {pid for pid in children if Path(f"/proc/{pid}/wchan").read_text().startswith("unix_stream")}
    return asleep if len(asleep) == len(children) == count else set()


async def test_a_run_whose_end_the_broker_has_not_confirmed_is_vouched_for(tmp_path: Path) -> None:
    async with supervising(tmp_path) as supervisor:
        await supervisor.start(run_request("smallest", run_id="r"))
        await ended(supervisor, "r")
        assert not supervisor.live
        assert [run.run.run_id for run in supervisor.active_runs()] == ["r"]


async def test_what_is_loaded_for_one_run_executes_it_and_describes_nothing(tmp_path: Path) -> None:
    async with supervising(tmp_path, is_for_one_run=True) as supervisor:
        described = await supervisor.zygote.described()
        assert described.HasField("snapshot")
        assert not described.snapshot.jobs
        unknown = await supervisor.start(run_request("no_such_job", run_id="u"))
        assert [violation.field for violation in unknown.rejected.violations] == ["job_name"]
        answer = await supervisor.start(run_request("smallest", run_id="r"))
        assert answer.HasField("accepted"), answer
        assert (await ended(supervisor, "r"))[-1].HasField("run_succeeded")


@pytest.mark.parametrize(
    ("code", "how"),
    [("import os; os._exit(3)", "exited with code 3"), ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV")],
    ids=["exit", "crash"],
)
async def test_an_import_that_ends_the_process_is_told_with_how_it_ended(tmp_path: Path, code: str, how: str) -> None:
    (tmp_path / "ends.py").write_text(f"{code}\n")
    source = DefinitionsSource(python_file=str(tmp_path / "ends.py"))
    zygote = ZygoteLink(started(LoadOrder(source=source, home=str(tmp_path))))
    async with patiently(30):
        await zygote.run()
    failure = (await zygote.described()).failure
    assert how in failure.message
    assert zygote.phase == "failed"
