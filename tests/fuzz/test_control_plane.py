"""Whatever callers, agents, monitors and code servers say to a control plane, it answers with what it has declared, and goes on."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus.v1.instance_pb2 import QueryEnvelope
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_broker.instructions import InstructionConsumer, Recipient
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settlement import Settlement
from isthmus_broker.topology import ANSWERS, NOTICES, QUERIES, answer_key
from support.caller import as_it_is, channel_to
from support.hostile import Hostile, every_number

pytestmark = pytest.mark.timeout(3600)

RUNS = tuple(f"00000000-0000-4000-8000-00000000000{number}" for number in range(8))
#: Those that an honest caller launches before all, and that nobody deletes: what is about them is about a run that there is.
KEPT, DELETABLE = RUNS[:4], RUNS[4:]
WORDS = ("default", "alpha", "sales", "nightly", *RUNS)
SERVICE = api.DESCRIPTOR.services_by_name["ControlPlane"]
#: What the desks declare. INTERNAL is an error that nobody foresaw, and UNKNOWN is what gRPC makes of one.
DECLARED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNIMPLEMENTED,
    # A watch has no end: its caller hangs up.
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
#: How long a caller waits, seconds, and how many call at once.
CALL_S, AT_ONCE = 1.0, 25
#: What an honest caller asks for meanwhile, again and again, and waits for as long as a busy machine may take.
PLAIN = {
    "LaunchRun": api.LaunchRunRequest(run_id=KEPT[0], location="sales", job_name="nightly"),
    "ListRuns": api.ListRunsQuery(),
    "GetRun": api.GetRunRequest(run_id=KEPT[1]),
    "TerminateRun": api.TerminateRunRequest(run_id=KEPT[2]),
}
PATIENT_S = 60.0


def steer(message: Any, random: Random) -> None:
    """Let a message be about what there is, so that it gets past the first checks, and spare what the others are about."""
    fields = message.DESCRIPTOR.fields_by_name
    is_destructive = type(message).__name__ in {"RemoveAgentRequest", "RemoveLocationRequest", "DrainAgentRequest"}
    if "deployment" in fields:
        message.deployment = "" if random.random() < 0.95 else message.deployment
    _name_run(message, random)
    if "location" in fields and random.random() < 0.9:
        message.location = "sales"
    if "name" in fields and (is_destructive or random.random() < 0.9):
        message.name = "doomed" if is_destructive else random.choice(("sales", "alpha", "doomed"))
    if isinstance(message, api.SetQueueSettingsRequest | api.PauseRequest):
        # What is paused or limited here would keep everybody's runs.
        message.deployment = "elsewhere"
    if "grace_s" in fields and random.random() < 0.5:
        message.grace_s, message.requested_by = 0.5, "somebody"
    if "job_name" in fields and random.random() < 0.8:
        message.job_name = "nightly"
        for other in ("op_selection", "asset_selection", "check_selection", "run_config_json", "tags"):
            if other in fields and random.random() < 0.7:
                message.ClearField(other)


def _name_run(message: Any, random: Random) -> None:
    for name in ("run_id", "parent_run_id"):
        if name in message.DESCRIPTOR.fields_by_name and random.random() < 0.9:
            setattr(message, name, random.choice(RUNS))
    if isinstance(message, api.DeleteRunRequest):
        message.run_id = random.choice(DELETABLE)


class Calls:
    """Calls every method of the API, with bytes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.codes: Counter[tuple[str, grpc.StatusCode]] = Counter()

    async def call(self, method: MethodDescriptor, body: bytes, *, timeout_s: float = CALL_S) -> grpc.StatusCode:
        path = f"/{SERVICE.full_name}/{method.name}"
        code, text = grpc.StatusCode.OK, ""
        try:
            if method.server_streaming:
                stream = self._channel.unary_stream(path, request_serializer=as_it_is, response_deserializer=as_it_is)(
                    body, timeout=CALL_S / 4
                )
                async for _ in stream:
                    continue
            else:
                await self._channel.unary_unary(path, request_serializer=as_it_is, response_deserializer=as_it_is)(
                    body, timeout=timeout_s
                )
        except grpc.aio.AioRpcError as error:
            code, text = error.code(), str(error.details())
        self.codes[method.name, code] += 1
        assert code is grpc.StatusCode.OK or code in DECLARED, (method.name, code, text)
        return code

    async def call_plainly(self, name: str) -> None:
        code = await self.call(SERVICE.methods_by_name[name], PLAIN[name].SerializeToString(), timeout_s=PATIENT_S)
        assert code is grpc.StatusCode.OK, (name, code)


@asynccontextmanager
async def odd_agent(stand: Stand, hostile: Hostile, publisher: Publisher) -> AsyncIterator[None]:
    """An agent that takes what it is told and answers with anything but the answer."""

    async def handle(message: Instruction) -> Settlement:
        if message.reply_to:
            batch = hostile.message(telemetry.TelemetryBatch)
            batch.source.deployment, batch.source.agent = "default", "alpha"
            answer = batch.events.add()
            answer.instruction_result.CopyFrom(hostile.message(telemetry.InstructionResult))
            answer.instruction_result.instruction_id = message.id
            body, encoding = hostile.body(batch)
            key = answer_key("default", "alpha", message.reply_to)
            await publisher.publish(OutgoingMessage(ANSWERS, key, body, content_encoding=encoding, is_mandatory=False))
        return Settlement.ACK

    consumer = InstructionConsumer(stand.broker, Recipient("default", "alpha"), prefetch=50, handle=handle)
    async with asyncio.TaskGroup() as tasks:
        consuming = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        yield
        consuming.cancel()


async def whisper(publisher: Publisher, hostile: Hostile, random: Random, count: int) -> None:
    """Say to the control plane's listeners what nobody honest says."""
    for number in range(count):
        if number % 3 == 0:
            text = random.choice((hostile.text(), '{"runs": ["x"], "locations": [1, null]}', '{"agents": {"a": []}}'))
            await publisher.publish(OutgoingMessage(NOTICES, "", text.encode(), is_mandatory=False))
            continue
        envelope = hostile.message(QueryEnvelope)
        envelope.deployment, envelope.agent, envelope.location = "default", "alpha", "sales"
        if envelope.query.timeout_s > 1 and random.random() < 0.9:
            envelope.query.timeout_s = 1.0
        if random.random() < 0.8:
            envelope.query.after_seq = 0
        body, encoding = hostile.body(envelope)
        await publisher.publish(OutgoingMessage(QUERIES, "", body, content_encoding=encoding, is_durable=False))


async def together(calls: list[Any]) -> None:
    for start in range(0, len(calls), AT_ONCE):
        async with asyncio.TaskGroup() as tasks:
            for call in calls[start : start + AT_ONCE]:
                tasks.create_task(call)


async def honest_run_starts(stand: Stand) -> None:
    """Check that what an honest caller asks for is done as ever."""
    await stand.create_agent("honest", pool="honest")
    await stand.apply("honest", pool="honest")
    await stand.hear("honest")
    await stand.report("honest", agent="honest")
    async with stand.agent("honest") as agent:
        run = await stand.stub.LaunchRun(api.LaunchRunRequest(location="honest", job_name="nightly"))
        launched = await agent.next("launch_run")
        assert launched.launch_run.request.run.run_id == run.request.run.run_id


async def test_hostile_callers_agents_and_notices_get_what_is_declared(
    broker_url: str, tmp_path: Path, messages: int, seed: int, unforeseen: list[str]
) -> None:
    hostile, random = Hostile(seed, words=WORDS), Random(seed)
    kept: list[int] = []
    database = f"sqlite+aiosqlite:///{tmp_path}/isthmus.db"
    async with control_plane(broker_url, database) as stand, channel_to(stand.address) as channel:
        await stand.serve()
        for run_id in KEPT:
            await stand.launch(run_id=run_id)
        calls = Calls(channel)
        async with Publisher(stand.broker) as publisher, odd_agent(stand, hostile, publisher):
            await publisher.wait_connected()
            for _ in range(4):
                made: list[Any] = []
                for _ in range(messages // 80):
                    method = random.choice(SERVICE.methods)
                    message = hostile.message(GetMessageClass(method.input_type))
                    steer(message, random)
                    made.append(calls.call(method, hostile.body(message)[0]))
                made += [calls.call_plainly(name) for name in PLAIN]
                random.shuffle(made)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(whisper(publisher, hostile, random, messages // 160))
                    tasks.create_task(together(made))
                gc.collect()
                kept.append(len(gc.get_objects()))
        await honest_run_starts(stand)
    assert not unforeseen, unforeseen[0]
    assert kept[-1] < kept[1] * 1.1


async def test_every_number_of_every_call_is_answered(broker_url: str, tmp_path: Path, unforeseen: list[str]) -> None:
    async with (
        control_plane(broker_url, f"sqlite+aiosqlite:///{tmp_path}/isthmus.db") as stand,
        channel_to(stand.address) as channel,
    ):
        await stand.serve()
        calls, random = Calls(channel), Random(1)
        made = []
        for method in SERVICE.methods:
            for _, message in every_number(GetMessageClass(method.input_type)):
                steer(message, random)
                made.append(calls.call(method, message.SerializeToString()))
        assert len(made) > 50
        await together(made)
        await honest_run_starts(stand)
    assert not unforeseen, unforeseen[0]
