"""A code server that takes one run: a process of its own, asked over gRPC, speaking to a real RabbitMQ."""

import signal
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from integration.test_code_server import Running, code_server, tapping
from isthmus.v1 import code_server_pb2 as pb
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_spool.journal import JournalReader
from support.eventually import eventually, patiently
from support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(60)


async def exit_code(server: Running) -> int:
    async with patiently(15):
        return await server.process.wait()


async def test_it_ends_when_its_run_has_ended_and_all_is_confirmed(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url, takes_one_run=True) as server:
        assert (await server.start("smallest", run_id="r")).accepted.pid
        assert await exit_code(server) == 0
        assert (await tap.end_of("r"))[-1].HasField("run_succeeded")
        assert server.folder("r").is_done


async def test_it_takes_no_other_run_and_answers_for_its_own_again(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url), code_server(tmp_path, broker_url, takes_one_run=True) as server:
        pid = await server.start_sleeping("r", tmp_path)
        again = await server.start("sleeping", run_id="r")
        assert (again.accepted.pid, again.accepted.was_started_before) == (pid, True)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.start("smallest", run_id="other")
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not server.folder("other").is_claimed
        await server.stub.CancelRun(pb.CancelRunRequest(run=telemetry.RunRef(run_id="r", attempt=1)))
        assert await exit_code(server) == 0


async def test_a_run_that_it_refused_leaves_it_free(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url), code_server(tmp_path, broker_url, takes_one_run=True) as server:
        assert (await server.start("configured", run_id="bad")).rejected.violations
        assert (await server.start("smallest", run_id="good")).accepted.pid
        assert await exit_code(server) == 0


async def test_it_stays_while_the_broker_is_away(tmp_path: Path, broker_url: str) -> None:
    address = urlsplit(broker_url)
    async with (
        TcpProxy.to(address.hostname or "", address.port or 0) as wire,
        tapping(broker_url) as tap,
        code_server(tmp_path, wire.url_for(broker_url), takes_one_run=True) as server,
    ):
        wire.refuse()
        await server.start("smallest", run_id="r")
        journal = server.folder("r").journal
        await eventually(
            lambda: any(e.HasField("run_succeeded") for e in JournalReader(journal).read().events), within=10
        )
        assert [run.run.run_id for run in (await server.stub.ListRuns(pb.ListRunsRequest())).runs] == ["r"]
        assert server.process.returncode is None
        wire.resume()
        assert await exit_code(server) == 0
        assert (await tap.end_of("r"))[-1].HasField("run_succeeded")


async def test_it_stops_like_any_other(tmp_path: Path, broker_url: str) -> None:
    async with tapping(broker_url) as tap, code_server(tmp_path, broker_url, takes_one_run=True) as server:
        await server.start_sleeping("r", tmp_path)
        server.process.send_signal(signal.SIGTERM)
        assert await exit_code(server) == 0
        assert (await tap.end_of("r"))[-1].run_canceled.reason == telemetry.RUN_REASON_CODE_SERVER_STOPPED
