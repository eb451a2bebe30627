"""The whole code server: a process of its own, asked over gRPC, speaking to a real RabbitMQ."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus.v1.code_server_pb2_grpc import CodeServerStub
from isthmus.v1.instruction_pb2 import LogCursor, RunRequest
from isthmus.v1.telemetry_pb2 import Event, RunRef
from isthmus_broker.declaring import declare
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry_consumer import ReceivedBatch, TelemetryConsumer
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalReader
from support.eventually import PATIENCE, eventually, patiently
from support.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from isthmus.v1.code_server_pb2_grpc import CodeServerAsyncStub

PROJECTS = Path(__file__).parents[1] / "contract" / "code_server" / "projects"


@dataclass(kw_only=True)
class Running:
    process: Process
    stub: "CodeServerAsyncStub"
    #: Its methods have no types.
    health: Any
    runs_dir: Path

    def folder(self, run_id: str) -> AttemptFolder:
        return AttemptFolder.for_run(self.runs_dir, RunRef(run_id=run_id, attempt=1))

    async def start(self, job: str, *, run_id: str, config: Any = None) -> pb.StartRunResponse:
        request = RunRequest(run=RunRef(run_id=run_id, attempt=1), job_name=job)
        request.run_config_json = json.dumps(config) if config is not None else ""
        return await self.stub.StartRun(pb.StartRunRequest(request=request))

    async def start_sleeping(self, run_id: str, tmp_path: Path, *, seconds: float = 60.0) -> int:
        ready = tmp_path / f"{run_id}.ready"
        config = {"ops": {"sleeps": {"config": {"ready": str(ready), "seconds": seconds}}}}
        answer = await self.start("sleeping", run_id=run_id, config=config)
        await eventually(ready.exists, within=15)
        return answer.accepted.pid


@asynccontextmanager
async def code_server(
    tmp_path: Path, broker_url: str, *, module: str = "jobs", takes_one_run: bool = False
) -> AsyncIterator[Running]:
    runs_dir = tmp_path / "location" / "runs"
    config = {
        "deployment": "prod",
        "agent": "a1",
        "location": "jobs",
        "generation": 4,
        "server": "s1",
        "source": {"module": module, "workingDirectory": str(PROJECTS)},
        "listen": f"unix:{tmp_path}/s.sock",
        "brokerUrl": broker_url,
        "runsDir": str(runs_dir),
        "heartbeatIntervalS": 0.2,
        "cancelGraceS": 3,
        "takesOneRun": takes_one_run,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "isthmus_code_server.main", "serve", "--config", str(path)
    )
    try:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/s.sock") as channel:
            stub = cast("CodeServerAsyncStub", CodeServerStub(channel))
            health = health_pb2_grpc.HealthStub(channel)
            # The first call waits until the server listens and has loaded its definitions.
            await stub.Describe(pb.DescribeRequest(), wait_for_ready=True, timeout=40 * PATIENCE)
            yield Running(process=process, stub=stub, health=health, runs_dir=runs_dir)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Tap:
    """Takes what arrives for the monitor."""

    def __init__(self, broker_url: str) -> None:
        self._consumer = TelemetryConsumer(BrokerSettings(url=broker_url), shard=0)
        self.batches: list[ReceivedBatch] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consumer.run())
            async for group in self._consumer.groups():
                self.batches.extend(group.items)
                await group.ack()

    def of_run(self, run_id: str) -> list[Event]:
        return [event for received in self.batches for event in received.batch.events if event.run.run_id == run_id]

    async def end_of(self, run_id: str) -> list[Event]:
        def check() -> list[Event] | None:
            events = self.of_run(run_id)
            return events if events and _body(events[-1]) in ("run_succeeded", "run_failed", "run_canceled") else None

        return await eventually(check, within=15)


@asynccontextmanager
async def tapping(broker_url: str) -> AsyncIterator[Tap]:
    await declare(BrokerSettings(url=broker_url), monitor_shards=1)
    tap = Tap(broker_url)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(tap.run())
        yield tap
        task.cancel()


def _body(event: Event) -> str:
    return event.WhichOneof("body") or ""


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_a_run_is_described_started_told_and_done(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url) as server:
        described = await server.stub.Describe(pb.DescribeRequest())
        assert "smallest" in [job.name for job in described.snapshot.jobs]
        assert described.framework.startswith("dagster ")
        status = health_pb2.HealthCheckResponse.SERVING
        check = health_pb2.HealthCheckRequest(service="isthmus.v1.CodeServer")
        assert (await server.health.Check(check)).status == status

        answer = await server.start("smallest", run_id="r1")
        assert answer.accepted.pid
        events = await tap.end_of("r1")
        assert _body(events[0]) == "run_started"
        assert _body(events[-1]) == "run_succeeded"
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        told = next(batch for batch in tap.batches if batch.routing_key == "prod.a1.run")
        source = told.batch.source
        assert (source.deployment, source.agent, source.location, source.generation) == ("prod", "a1", "jobs", 4)
        assert source.incarnation

        folder = server.folder("r1")
        await eventually(lambda: folder.is_done and not folder.journal.exists(), within=5)
        assert folder.stdout.exists()


async def test_damage_to_a_journal_is_noticed_at_once_and_ends_its_run_alone(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url) as server:
        neighbour = await server.start_sleeping("neighbour", tmp_path)
        pid = await server.start_sleeping("r", tmp_path)
        with server.folder("r").journal.open("ab") as file:
            file.write(b"\xff" * 64)
        # The next word of the run rings the doorbell: its interrupt makes it speak.
        os.kill(pid, signal.SIGINT)
        events = await tap.end_of("r")
        assert events[-1].run_failed.reason == telemetry.RUN_REASON_INTERNAL_ERROR
        assert "damaged" in events[-1].message
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert not is_alive(pid)
        assert is_alive(neighbour)
        await server.start("smallest", run_id="next")
        assert _body((await tap.end_of("next"))[-1]) == "run_succeeded"


async def test_a_request_for_another_location_is_refused(tmp_path: Path, broker_url: str) -> None:
    async with code_server(tmp_path, broker_url) as server:
        request = RunRequest(run=RunRef(run_id="r", attempt=1), location="other", job_name="smallest")
        for call in (
            server.stub.StartRun(pb.StartRunRequest(request=request)),
            server.stub.ValidateRun(pb.ValidateRunRequest(request=request)),
            server.stub.EvaluateSchedule(pb.EvaluateScheduleRequest(schedule_name="s", location="other")),
            server.stub.EvaluateSensor(pb.EvaluateSensorRequest(sensor_name="files", location="other")),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match="location 'jobs', not 'other'") as caught:
                await call
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert not server.folder("r").is_claimed


async def test_requests_that_do_not_fit_are_refused_over_grpc(tmp_path: Path, broker_url: str) -> None:
    async with code_server(tmp_path, broker_url) as server:
        bad = await server.start("configured", run_id="bad")
        assert [violation.field for violation in bad.rejected.violations] == ["run_config.ops"]
        request = RunRequest(run=RunRef(run_id="x", attempt=1), job_name="nobody")
        told = await server.stub.ValidateRun(pb.ValidateRunRequest(request=request))
        assert [violation.field for violation in told.violations] == ["job_name"]
        for run_id in ("", "../../etc"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await server.start("smallest", run_id=run_id)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        sensor = await server.stub.EvaluateSensor(pb.EvaluateSensorRequest(sensor_name="files", cursor="1"))
        assert sensor.answer.cursor == "2"
        schedule = await server.stub.EvaluateSchedule(pb.EvaluateScheduleRequest(schedule_name="nobody"))
        assert schedule.failure.error_class == "UnknownDefinitionError"


async def test_a_run_is_vouched_for_listed_and_canceled(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url) as server:
        pid = await server.start_sleeping("r", tmp_path)
        listed = (await server.stub.ListRuns(pb.ListRunsRequest())).runs
        assert [(run.run.run_id, run.pid) for run in listed] == [("r", pid)]
        assert listed[0].HasField("started_at")

        def beats() -> list[ReceivedBatch]:
            return [received for received in tap.batches if received.batch.events[0].HasField("run_heartbeat")]

        told = (await eventually(beats, within=5))[0]
        assert told.routing_key == "prod.a1.run"
        (beat,) = told.batch.events
        assert [run.run_id for run in beat.run_heartbeat.active_runs] == ["r"]

        cancel = pb.CancelRunRequest(run=RunRef(run_id="r", attempt=1))
        assert not (await server.stub.CancelRun(cancel)).was_not_running
        assert not is_alive(pid)
        end = (await tap.end_of("r"))[-1]
        assert end.run_canceled.reason == telemetry.RUN_REASON_CANCELED_BY_REQUEST
        assert (await server.stub.CancelRun(cancel)).was_not_running
        assert not (await server.stub.ListRuns(pb.ListRunsRequest())).runs


async def read_logs(server: Running, run_id: str, cursors: Sequence[LogCursor] = ()) -> dict[int, bytes]:
    request = pb.ReadLogsRequest(run=RunRef(run_id=run_id, attempt=1), cursors=cursors, follow=True)
    found: dict[int, bytes] = {}
    async for chunk in server.stub.ReadLogs(request):
        found[chunk.stream] = found.get(chunk.stream, b"") + chunk.data
    return found


async def test_output_is_read_from_where_the_reader_is(tmp_path: Path, broker_url: str) -> None:
    async with code_server(tmp_path, broker_url) as server:
        await server.start("printing", run_id="r")
        everything = await read_logs(server, "r")
        assert everything[telemetry.LOG_STREAM_STDOUT] == b"to stdout\n"
        cursor = LogCursor(stream=telemetry.LOG_STREAM_STDOUT, offset=3)
        assert await read_logs(server, "r", [cursor]) == {telemetry.LOG_STREAM_STDOUT: b"stdout\n"}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await read_logs(server, "never")
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_runs_go_on_while_the_broker_is_away_and_no_event_is_lost(tmp_path: Path, broker_url: str) -> None:
    address = urlsplit(broker_url)
    async with (
        TcpProxy.to(address.hostname or "", address.port or 0) as wire,
        tapping(broker_url) as tap,
        code_server(tmp_path, wire.url_for(broker_url)) as server,
    ):
        wire.refuse()
        for number in range(3):
            assert (await server.start("smallest", run_id=f"r{number}")).accepted.pid
        await eventually(lambda: _has_ended(server, 3), within=10)
        assert not tap.of_run("r0")
        wire.resume()
        for number in range(3):
            events = await tap.end_of(f"r{number}")
            assert sorted({event.seq for event in events}) == list(range(1, len(events) + 1))
            folder = server.folder(f"r{number}")
            await eventually(partial(_is_done, folder), within=5)


def _is_done(folder: AttemptFolder) -> bool:
    return folder.is_done


def _has_ended(server: Running, count: int) -> bool:
    journals = [JournalReader(server.folder(f"r{number}").journal).read().events for number in range(count)]
    return all(events and _body(events[-1]) == "run_succeeded" for events in journals)


async def test_a_server_that_is_told_to_stop_cancels_flushes_and_goes(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url) as server:
        pid = await server.start_sleeping("r", tmp_path)
        server.process.send_signal(signal.SIGTERM)
        async with patiently(15):
            assert await server.process.wait() == 0
        assert not is_alive(pid)
        end = (await tap.end_of("r"))[-1]
        assert end.run_canceled.reason == telemetry.RUN_REASON_CODE_SERVER_STOPPED
        assert server.folder("r").is_done


async def test_no_run_outlives_a_killed_server(tmp_path: Path, broker_url: str) -> None:
    async with code_server(tmp_path, broker_url) as server:
        pid = await server.start_sleeping("r", tmp_path)
        server.process.kill()
        await server.process.wait()
        await eventually(lambda: not is_alive(pid), within=5)
        assert server.folder("r").journal.exists()
        assert not server.folder("r").is_done


async def test_a_project_that_cannot_be_loaded_is_told_by_a_server_that_stays(tmp_path: Path, broker_url: str) -> None:
    async with code_server(tmp_path, broker_url, module="broken") as server:
        failure = (await server.stub.Describe(pb.DescribeRequest())).failure
        assert (failure.error_class, failure.message) == ("RuntimeError", "the project is broken")
        assert any("broken.py" in frame for frame in failure.stack)
        status = (await server.health.Check(health_pb2.HealthCheckRequest())).status
        assert status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.start("smallest", run_id="r")
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        server.process.send_signal(signal.SIGTERM)
        async with patiently(10):
            assert await server.process.wait() == 0


async def test_a_server_that_lost_its_zygote_ends_with_an_error(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url) as server:
        await server.start_sleeping("r", tmp_path)
        (zygote,) = children_of(server.process.pid)
        os.kill(zygote, signal.SIGKILL)
        async with patiently(15):
            assert await server.process.wait() == 1
        end = (await tap.end_of("r"))[-1]
        assert end.run_failed.reason == telemetry.RUN_REASON_WORKER_LOST


async def test_the_end_of_a_run_that_leaves_nothing_waits_for_nobody(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url) as server:
        await server.start_sleeping("r", tmp_path, seconds=1.0)
        (zygote,) = children_of(server.process.pid)
        os.kill(zygote, signal.SIGSTOP)
        try:
            # The one who would say that its process is gone says nothing now.
            assert _body((await tap.end_of("r"))[-1]) == "run_succeeded"
            assert server.folder("r").journal.exists()
        finally:
            os.kill(zygote, signal.SIGCONT)
        await eventually(lambda: not server.folder("r").journal.exists(), within=10)
        assert [event.seq for event in tap.of_run("r")] == list(range(1, len(tap.of_run("r")) + 1))


async def run_check(*arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "isthmus_code_server.main", *arguments, stdout=PIPE, stderr=PIPE, cwd=cwd
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    "target", [("-m", "only_assets"), ("-f", f"{PROJECTS.name}/only_assets.py")], ids=["module", "file"]
)
async def test_check_takes_paths_from_where_it_is_called(target: tuple[str, str]) -> None:
    code, out, err = await run_check("check", *target, "-d", PROJECTS.name, cwd=PROJECTS.parent)
    assert code == 0, err
    assert "assets: 1 (lonely)" in out


async def test_check_prints_what_was_found_or_why_nothing_was() -> None:
    code, out, _ = await run_check("check", "-m", "only_assets", "-d", str(PROJECTS))
    assert code == 0
    assert "assets: 1 (lonely)" in out
    code, _, err = await run_check("check", "-m", "broken", "-d", str(PROJECTS))
    assert code == 1
    assert "RuntimeError: the project is broken" in err
    assert "KeyError" in err
    code, _, err = await run_check("serve", "--config", "/nowhere/config.json")
    assert code == 2
    assert "/nowhere/config.json" in err
