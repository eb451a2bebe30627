"""The edge of the control plane: what is found there, how errors read, and how it ends."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from integration.control_plane_stand import control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneStub
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_control_plane.api.server import SERVICE, ApiServer
from isthmus_control_plane.api.service import ControlPlaneService
from isthmus_control_plane.errors import AddressTakenError
from isthmus_control_plane.service import run_control_plane
from isthmus_control_plane.settings import ControlPlaneSettings
from support.caller import channel_to
from support.eventually import eventually

Result = telemetry_pb2.InstructionResult
Status = health_pb2.HealthCheckResponse


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/isthmus.db"


async def test_reflection_finds_the_api_and_health_says_serving(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand, grpc.aio.insecure_channel(stand.address) as channel:
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]
        call = reflection.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = await call.read()
        await call.done_writing()
        assert SERVICE in {it.name for it in listed.list_services_response.service}
        health: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == Status.SERVING


async def test_every_fault_of_a_request_is_told_at_once(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        request = api.LaunchRunRequest(
            deployment="Prod", run_id="42", location="My Location", run_config_json="[1,]", tags={"": "x"}
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.LaunchRun(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert set(violations_of(refused.value)) == {
            "deployment",
            "run_id",
            "location",
            "job_name",
            "run_config_json",
            "tags",
        }


async def test_thousands_of_faults_fit_into_one_answer(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        request = api.LaunchRunRequest(location="sales", job_name="x", op_selection=[""] * 4000)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.LaunchRun(request)
        found = violations_of(refused.value)
        assert "op_selection[0]" in found
        assert "more violations are not listed" in found[""]


async def test_what_does_not_exist_is_named(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await stand.stub.GetAgent(api.GetAgentRequest(name="nobody"))
        status = rpc_status.from_call(missing.value)  # type: ignore[arg-type]
        assert status is not None
        assert [it.type_url.rpartition("/")[2] for it in status.details] == [
            "google.rpc.ErrorInfo",
            "google.rpc.ResourceInfo",
        ]
        assert "there is no agent 'nobody'; there is none" in str(missing.value.details())


async def test_a_request_beyond_the_size_limit_is_refused(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url, max_message_bytes=64 * 1024) as stand:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.launch(run_config_json='{"x": "' + "y" * 70_000 + '"}')
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_unexpected_error_tells_an_id_and_nothing_of_the_inside(sqlite_url: str) -> None:
    class Broken(ControlPlaneService):
        def __init__(self) -> None:
            pass

        async def GetRun(self, request: api.GetRunRequest, context: object) -> api.Run:  # noqa: N802 - gRPC's name
            raise ValueError("secret internals")

    settings = ControlPlaneSettings(broker_url="amqp://unused", database_url=sqlite_url, listen="127.0.0.1:0")
    async with (
        ApiServer.serve(Broken(), settings=settings) as server,
        channel_to(server.address) as channel,
    ):
        stub: Any = ControlPlaneStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub.GetRun(api.GetRunRequest(run_id=str(uuid4())))
        assert failed.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(failed.value)
        assert "unexpected error" in str(failed.value.details())


async def test_a_port_that_is_taken_is_an_error_that_says_so(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        settings = ControlPlaneSettings(broker_url=broker_url, database_url=sqlite_url, listen=stand.address)
        with pytest.raises(AddressTakenError, match="ISTHMUS_CONTROL_PLANE_LISTEN"):
            await run_control_plane(settings, stop=asyncio.Event())


async def test_the_end_finishes_calls_in_hand_cuts_watches_and_frees_the_port(broker_url: str, sqlite_url: str) -> None:
    asked, may_answer = asyncio.Event(), asyncio.Event()
    async with control_plane(broker_url, sqlite_url) as stand, grpc.aio.insecure_channel(stand.address) as channel:
        await stand.serve()
        run_id = (await stand.launch()).request.run.run_id
        health: Any = health_pb2_grpc.HealthStub(channel)
        probe = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await probe.read()).status == Status.SERVING
        watch = stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id))
        assert [(await watch.read()).position for _ in range(3)] == [0, 1, 2]

        def answer(_: Instruction) -> Result:
            asked.set()
            return Result(outcome=Result.OUTCOME_SUCCEEDED)

        async with stand.answering(answer, gate=may_answer):
            question = stand.stub.ValidateRun(api.LaunchRunRequest(location="sales", job_name="nightly"))
            await asked.wait()
            stand.stop.set()
            assert (await probe.read()).status == Status.NOT_SERVING
            probe.cancel()
            assert not stand.ended.is_set()
            may_answer.set()
            assert not (await question).violations
        with pytest.raises(grpc.aio.AioRpcError) as cut:
            await watch.read()
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        await eventually(stand.ended.is_set, within=5)
        again = ControlPlaneSettings(broker_url=broker_url, database_url=sqlite_url, listen=stand.address)
        stop, started = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_control_plane(again, stop=stop, started=started))
            await started.wait()
            stop.set()


async def test_the_api_serves_while_the_broker_is_away(sqlite_url: str) -> None:
    nowhere = "amqp://guest:guest@127.0.0.1:1/"
    async with control_plane(nowhere, sqlite_url) as stand:
        assert (await stand.apply()).generation == 1
        assert (await stand.launch()).state == api.RUN_STATE_QUEUED
        with pytest.raises(grpc.aio.AioRpcError) as away:
            await stand.create_agent()
        assert away.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "RabbitMQ does not answer" in str(away.value.details())
