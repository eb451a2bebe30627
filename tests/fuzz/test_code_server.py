"""Whatever an agent and the processes of the user's say to a code server, it answers with what it has declared, and goes on."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from textwrap import dedent
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1.instance_pb2 import InstanceQuery
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef, Source
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_code_server.definitions.instance_client import FRAME_HEAD
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.runs.instance_gate import InstanceGate
from isthmus_code_server.runs.supervisor import Supervisor
from isthmus_code_server.runs.zygote_link import ZygoteLink
from isthmus_code_server.runs.zygote_process import ZygoteProcess
from isthmus_code_server.service.server import Health, listening
from isthmus_code_server.service.servicer import Servicer
from isthmus_code_server.zygote.wire import LoadOrder
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.journal import JournalReader
from support.caller import as_it_is
from support.eventually import eventually
from support.hostile import Hostile, every_number

pytestmark = [pytest.mark.timeout(3600), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

PROJECT = dedent(
    """
    from dagster import Definitions, RunRequest, in_process_executor, job, op, schedule, sensor

    @op
    def quick():
        print("done")

    @job(executor_def=in_process_executor)
    def nightly():
        quick()

    @schedule(job=nightly, cron_schedule="0 0 * * *")
    def at_night(context):
        return RunRequest(run_key=str(context.scheduled_execution_time))

    @sensor(job=nightly)
    def watcher(context):
        context.update_cursor(context.cursor or "first")
        yield RunRequest(run_key=context.last_run_key)

    defs = Definitions(jobs=[nightly], schedules=[at_night], sensors=[watcher])
    """
)
WORDS = ("sales", "nightly", "at_night", "watcher", "quick", "r1", "r2")
SERVICE = pb.DESCRIPTOR.services_by_name["CodeServer"]
DECLARED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    # What came later than its agent may have held its name.
    grpc.StatusCode.UNAVAILABLE,
}
#: What gRPC says on the caller's side when a call ends while it is still written to, as when a newer one takes its place.
_CUT = "Internal error from Core"
#: How long a caller waits, seconds, and how many call at once.
CALL_S, STREAM_S, AT_ONCE = 60.0, 0.3, 10
#: Nobody listens here: what runs say stays in their journals.
NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"


@dataclass
class Served:
    """A code server that is reached like any other, in this process."""

    channel: grpc.aio.Channel
    supervisor: Supervisor
    #: Where processes of the user's ask.
    instance: str


@asynccontextmanager
async def code_server(folder: Path) -> AsyncIterator[Served]:
    (folder / "project.py").write_text(PROJECT)
    process = ZygoteProcess.start()
    process.load(
        LoadOrder(source=DefinitionsSource(python_file=str(folder / "project.py")), home=str(folder / "home"), spares=1)
    )
    zygote, gate, address = ZygoteLink(process), InstanceGate(address=f"@fuzz-{uuid4()}"), f"unix:{folder}/sock"
    source = Source(deployment="d", agent="a", location="sales")
    async with Publisher(BrokerSettings(NO_BROKER)) as publisher, asyncio.TaskGroup() as tasks:
        supervisor = Supervisor(
            runs_dir=folder / "runs",
            zygote=zygote,
            telemetry=TelemetryPublisher(publisher, source=source),
            tasks=tasks,
            cancel_grace_s=2.0,
        )
        living = tasks.create_task(zygote.run())
        described = await zygote.described()
        assert described.WhichOneof("result") == "snapshot", described
        servicer = Servicer(supervisor=supervisor, gate=gate, location="sales")
        async with gate.listening(), listening(servicer, address=address, health_service=Health()):
            async with grpc.aio.insecure_channel(address) as channel:
                yield Served(channel, supervisor, gate.address)
            gate.close()
            await supervisor.stop(flush_timeout_s=0)
        zygote.close()
        await living


class Calls:
    """Calls every method of the service, with bytes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.codes: Counter[tuple[str, grpc.StatusCode]] = Counter()

    async def call(self, method: MethodDescriptor, body: bytes) -> None:
        path = f"/{SERVICE.full_name}/{method.name}"
        code, text = grpc.StatusCode.OK, ""
        try:
            if method.client_streaming:
                async for _ in self._channel.stream_stream(
                    path, request_serializer=as_it_is, response_deserializer=as_it_is
                )(iter([body, body]), timeout=STREAM_S):
                    continue
            elif method.server_streaming:
                async for _ in self._channel.unary_stream(
                    path, request_serializer=as_it_is, response_deserializer=as_it_is
                )(body, timeout=STREAM_S):
                    continue
            else:
                await self._channel.unary_unary(path, request_serializer=as_it_is, response_deserializer=as_it_is)(
                    body, timeout=CALL_S
                )
        except grpc.aio.AioRpcError as error:
            code, text = error.code(), str(error.details())
        if text == _CUT:
            code = grpc.StatusCode.OK
        self.codes[method.name, code] += 1
        assert code is grpc.StatusCode.OK or code in DECLARED, (method.name, code, text)


def steer(message: Any, random: Random) -> None:
    """Let a message be about what there is, so that it gets past the first checks."""
    fields = message.DESCRIPTOR.fields_by_name
    if "request" in fields:
        steer(message.request, random)
    if "location" in fields and random.random() < 0.95:
        message.location = random.choice(("sales", ""))
    if "run" in fields and random.random() < 0.9:
        message.run.run_id = f"r{random.randrange(30)}"
        if random.random() < 0.5:
            message.run.attempt = 1
    for name, known in (("job_name", "nightly"), ("schedule_name", "at_night"), ("sensor_name", "watcher")):
        if name in fields and random.random() < 0.8:
            setattr(message, name, known)
    if "job_name" in fields and random.random() < 0.5:
        for field, _ in message.ListFields():
            if field.name not in {"run", "location", "job_name"}:
                message.ClearField(field.name)


async def ask(instance: str, body: bytes) -> None:
    """Ask as a process of the user's does, with bytes that need not be a query, and hang up."""
    reader, writer = await asyncio.open_unix_connection("\0" + instance[1:])
    writer.write(body)
    await writer.drain()
    writer.write_eof()
    try:
        async with asyncio.timeout(0.2):
            await reader.read(100)
    except TimeoutError:
        pass
    finally:
        writer.close()


def queries(hostile: Hostile, count: int) -> Iterator[bytes]:
    for number in range(count):
        body, _ = hostile.body(hostile.message(InstanceQuery))
        yield FRAME_HEAD.pack(len(body)) + body if number % 5 else body


async def together(calls: list[Any]) -> None:
    for start in range(0, len(calls), AT_ONCE):
        async with asyncio.TaskGroup() as tasks:
            for call in calls[start : start + AT_ONCE]:
                tasks.create_task(call)


async def honest_run_succeeds(served: Served) -> None:
    run = RunRef(run_id="victim", attempt=1)
    request = pb.StartRunRequest(request=RunRequest(run=run, location="sales", job_name="nightly"))
    call = served.channel.unary_unary(
        f"/{SERVICE.full_name}/StartRun",
        request_serializer=pb.StartRunRequest.SerializeToString,
        response_deserializer=pb.StartRunResponse.FromString,
    )
    assert (await call(request)).accepted.pid
    journal = AttemptFolder.for_run(served.supervisor.runs_dir, run).journal

    def succeeded() -> bool:
        return any(event.HasField("run_succeeded") for event in JournalReader(journal).read().events)

    await eventually(succeeded, within=20)


async def test_hostile_agents_and_user_processes_get_what_is_declared(
    short_path: Path, messages: int, seed: int, unforeseen: list[str]
) -> None:
    hostile, random = Hostile(seed, words=WORDS), Random(seed)
    kept: list[int] = []
    async with code_server(short_path) as served:
        calls = Calls(served.channel)
        for _ in range(4):
            made = []
            for _ in range(messages // 160):
                method = random.choice(SERVICE.methods)
                message = hostile.message(GetMessageClass(method.input_type))
                steer(message, random)
                made.append(calls.call(method, hostile.body(message)[0]))
            made += [ask(served.instance, body) for body in queries(hostile, messages // 160)]
            random.shuffle(made)
            await together(made)
            gc.collect()
            kept.append(len(gc.get_objects()))
        await honest_run_succeeds(served)
    assert {name for name, code in calls.codes if code is grpc.StatusCode.OK} >= {
        "StartRun",
        "CancelRun",
        "ValidateRun",
    }
    assert not unforeseen, unforeseen[0]
    assert kept[-1] < kept[1] * 1.1


async def test_every_number_of_every_call_is_answered(short_path: Path, unforeseen: list[str]) -> None:
    async with code_server(short_path) as served:
        calls, random = Calls(served.channel), Random(1)
        made = []
        for method in SERVICE.methods:
            for _, message in every_number(GetMessageClass(method.input_type)):
                steer(message, random)
                made.append(calls.call(method, message.SerializeToString()))
        assert len(made) > 50
        await together(made)
        await honest_run_succeeds(served)
    assert not unforeseen, unforeseen[0]
