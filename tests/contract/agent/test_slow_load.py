"""A project that takes too long to import is told with the time that it had, and with the settings that give it more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from isthmus_agent.code_server.client import CodeServerClient
from isthmus_agent.code_server.errors import LoadTimeoutError


async def _import_for_ever(request: bytes, context: object) -> bytes:
    await asyncio.Event().wait()
    return b""


@pytest.fixture
async def address(short_path: Path) -> AsyncIterator[str]:
    server = grpc.aio.server()
    describe: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_import_for_ever)
    handlers = grpc.method_handlers_generic_handler("isthmus.v1.CodeServer", {"Describe": describe})
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(f"unix:{short_path}/s.sock")
    await server.start()
    yield f"unix:{short_path}/s.sock"
    await server.stop(grace=0)


async def test_a_slow_import_names_its_time_and_the_settings(address: str) -> None:
    client = CodeServerClient(server="s1", address=address)
    with pytest.raises(LoadTimeoutError) as caught:
        await client.describe(timeout_s=1)
    await client.close()
    assert "within 1 s" in str(caught.value)
    assert "load_timeout_s" in str(caught.value)
    assert "ISTHMUS_AGENT_LOAD_TIMEOUT_S" in str(caught.value)
