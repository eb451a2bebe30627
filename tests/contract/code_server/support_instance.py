"""Takes an agent's place at a code server: answers what its processes ask of their instance."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from isthmus.v1.code_server_pb2 import AttachRequest
from isthmus.v1.instance_pb2 import InstanceAnswer, InstanceQuery
from isthmus_code_server.definitions.instance_address import ADDRESS_VARIABLE
from isthmus_code_server.runs.instance_gate import InstanceGate

Answer = Callable[[InstanceQuery], InstanceAnswer]


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> InstanceGate:
    gate = InstanceGate(address=f"@isthmus-test-{uuid.uuid4().hex}")
    monkeypatch.setenv(ADDRESS_VARIABLE, gate.address)
    return gate


@asynccontextmanager
async def attached(gate: InstanceGate, answer: Answer, *, asked: list[InstanceQuery]) -> AsyncIterator[None]:
    """Take an agent's place."""
    said: asyncio.Queue[InstanceAnswer] = asyncio.Queue()
    is_attached = asyncio.Event()

    async def requests() -> AsyncIterator[AttachRequest]:
        is_attached.set()
        while True:
            yield AttachRequest(answer=await said.get())

    async def attend() -> None:
        async for response in gate.attach(requests()):
            asked.append(response.query)
            reply = answer(response.query)
            reply.query_id = response.query.id
            said.put_nowait(reply)

    async with asyncio.TaskGroup() as tasks:
        attending = tasks.create_task(attend())
        await is_attached.wait()
        yield
        attending.cancel()
