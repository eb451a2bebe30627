"""What tooling meets: the API by reflection, wrong input, the command line and its exit codes, alerts."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from aiohttp import web
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from isthmus.v1.control_plane_pb2 import RUN_STATE_FAILED
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_client.discovery import find_token
from support.eventually import PATIENCE, eventually
from support.system import Operator, System, running_system

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def gated(operator: Operator, gated_source: CodeSource) -> Operator:
    await operator.apply("gated", gated_source)
    return operator


async def call_by_reflection(address: str, method: str, **fields: object) -> object:
    """Call a method as a client does that knows nothing but the address."""

    token = find_token(address)
    assert token is not None

    def call() -> object:
        with grpc.insecure_channel(address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            assert "isthmus.v1.ControlPlane" in database.get_services()
            service = DescriptorPool(database).FindServiceByName("isthmus.v1.ControlPlane")
            found = service.methods_by_name[method]
            request = GetMessageClass(found.input_type)(**fields)
            stub: Any = channel.unary_unary(
                f"/{service.full_name}/{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=GetMessageClass(found.output_type).FromString,
            )
            return stub(request, timeout=10, metadata=[("authorization", f"Bearer {token.value}")])

    return await asyncio.to_thread(call)


async def test_a_client_without_generated_code_finds_and_uses_the_api(gated: Operator, system: System) -> None:
    answer = await call_by_reflection(system.address, "ListLocations")
    assert [location.settings.name for location in answer.locations] == ["gated"]  # type: ignore[attr-defined]


async def violations_of(address: str, **fields: object) -> dict[str, str]:
    """Launch with wrong input; returns what is said of each field."""
    with pytest.raises(grpc.RpcError) as caught:
        await call_by_reflection(address, "LaunchRun", **fields)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    status = rpc_status.from_call(cast("grpc.Call", caught.value))
    assert status is not None
    details = BadRequest()
    assert any(detail.Unpack(details) for detail in status.details)
    return {violation.field: violation.description for violation in details.field_violations}


async def test_wrong_input_is_an_invalid_argument_with_field_violations(gated: Operator, system: System) -> None:
    malformed = await violations_of(
        system.address, location="gated", job_name="quick", run_config_json="{", run_id="not a uuid"
    )
    assert set(malformed) == {"run_id", "run_config_json"}
    unknown = await violations_of(system.address, location="gated", job_name="quikc")
    assert "quick" in unknown["job_name"]


async def isthmus(system: System, *words: str, within: float = 60) -> tuple[int, str]:
    """Run the command as a person's shell does, without a terminal."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "isthmus"),
        *words,
        env={**os.environ, "ISTHMUS_SERVER": system.address, "NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), within * PATIENCE)
    return process.returncode or 0, output.decode()


async def test_the_command_line_launches_watches_and_exits_with_the_runs_outcome(
    gated: Operator, system: System
) -> None:
    code, output = await isthmus(system, "run", "launch", "gated", "quick", "--watch")
    assert code == 0, output
    assert "one" in output
    assert "SUCCEEDED" in output
    code, output = await isthmus(system, "run", "launch", "gated", "exits", "--watch")
    assert code == 1, output
    assert "exit code 3" in output.lower() or "code 3" in output


async def test_the_command_line_tells_runs_and_locations_as_json(gated: Operator, system: System) -> None:
    run_id = await gated.launch("gated", "quick")
    await gated.history(run_id)
    code, output = await isthmus(system, "run", "show", run_id, "-o", "json")
    assert code == 0, output
    assert "SUCCEEDED" in json.dumps(json.loads(output))
    code, output = await isthmus(system, "location", "show", "gated", "-o", "json")
    assert code == 0, output
    assert "gated" in json.dumps(json.loads(output))


async def test_the_command_line_shows_why_a_location_does_not_load(
    operator: Operator, system: System, tmp_path: Path
) -> None:
    module = tmp_path / "broken.py"
    module.write_text("raise RuntimeError('the warehouse is on fire')\n")
    code, output = await isthmus(system, "location", "apply", "--name", "broken", "--file", str(module))
    assert code == 1, output
    code, output = await isthmus(system, "location", "show", "broken")
    assert "the warehouse is on fire" in output
    assert "broken.py" in output


async def test_output_of_a_run_is_read_from_its_environment(gated: Operator, system: System, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    config = f'{{"ops": {{"stand_at_gate": {{"config": {{"path": "{gate}"}}}}}}}}'
    run_id = await gated.launch("gated", "gated", run_config_json=config)
    await gated.history(run_id)
    code, output = await isthmus(system, "run", "logs", run_id)
    assert code == 0, output
    assert "standing at the gate" in output


class Receiver:
    """A webhook's receiver."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        self.calls.append((dict(request.headers), await request.read()))
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hook", receiver.receive)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    receiver.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/hook"  # type: ignore[attr-defined]
    yield receiver
    await runner.cleanup()


async def test_a_failed_run_is_told_to_a_webhook_that_can_check_who_speaks(
    broker_url: str, gated_source: CodeSource, receiver: Receiver, tmp_path: Path
) -> None:
    secret = "whsec_" + base64.b64encode(b"a secret of the test's").decode()
    hooks = json.dumps([{"url": receiver.url, "secret": secret}])
    with running_system(
        broker_url=broker_url,
        database_url=f"sqlite+aiosqlite:///{tmp_path}/isthmus.db",
        folder=tmp_path,
        monitor_environment={"ISTHMUS_MONITOR_WEBHOOKS": hooks},
    ) as system:
        async with system.client() as client:
            operator = Operator(system, client)
            await operator.enroll_agent()
            await operator.apply("gated", gated_source)
            run_id = await operator.launch("gated", "exits")
            await operator.in_state(run_id, [RUN_STATE_FAILED])
            await eventually(lambda: receiver.calls, within=10)
    headers, body = receiver.calls[0]
    assert run_id in body.decode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"a secret of the test's", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
