"""What a code server does not start, over gRPC: attempts before a later one, and what an agent asks for too late."""

import time
from pathlib import Path

import grpc
import pytest
from integration.test_code_server import code_server, tapping
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RunRef


async def test_an_earlier_attempt_is_fenced_off(tmp_path: Path, broker_url: str) -> None:
    async with code_server(tmp_path, broker_url) as server:
        later = RunRequest(run=RunRef(run_id="r", attempt=2), job_name="smallest")
        assert (await server.stub.StartRun(pb.StartRunRequest(request=later))).accepted.pid
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.start("smallest", run_id="r")
        assert caught.value.code() == grpc.StatusCode.ABORTED


async def test_a_call_of_an_agent_that_stood_still_starts_nothing_any_more(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url) as server:
        request = RunRequest(run=RunRef(run_id="r", attempt=1), job_name="smallest")
        late = pb.StartRunRequest(request=request)
        late.not_after.FromNanoseconds(time.time_ns() - 1)
        with pytest.raises(grpc.aio.AioRpcError, match="came too late") as caught:
            await server.stub.StartRun(late)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert not server.folder("r").is_claimed
        in_time = pb.StartRunRequest(request=request)
        in_time.not_after.FromNanoseconds(time.time_ns() + 60_000_000_000)
        assert not (await server.stub.StartRun(in_time)).accepted.was_started_before
        # What was started is told of, however late.
        assert (await server.stub.StartRun(late)).accepted.was_started_before
        assert (await tap.end_of("r"))[-1].HasField("run_succeeded")
