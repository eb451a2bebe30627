"""What a code server asks of its instance, by an agent that trusts no number of it."""

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from isthmus.v1.code_server_pb2 import AttachRequest, AttachResponse
from isthmus.v1.instance_pb2 import InstanceAnswer, InstanceQuery
from isthmus_agent.hosts.host import Server
from isthmus_agent.instance.relay import MOST_OF_ONE_LOCATION, InstanceRelay
from isthmus_agent.servers.held import HeldServer
from isthmus_broker.instructions import Recipient
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from support.eventually import eventually

#: Nobody listens there: what cannot wait for a broker is answered at once.
AWAY = BrokerSettings("amqp://guest:guest@127.0.0.1:1/")


class Asker:
    """A code server that asks what it is told to, again whenever it is called."""

    def __init__(self, *queries: InstanceQuery) -> None:
        self.queries = queries
        self.answers: dict[str, InstanceAnswer] = {}
        self.calls = 0

    async def attach(self, requests: AsyncIterator[AttachRequest], _: object) -> AsyncIterator[AttachResponse]:
        self.calls += 1
        for query in self.queries:
            yield AttachResponse(query=query)
        async for request in requests:
            self.answers[request.answer.query_id] = request.answer


async def answers_to(asker: Asker, folder: Path, *, count: int) -> dict[str, InstanceAnswer]:
    """Attach a relay to a code server until so many of its queries are answered."""
    address = f"unix:{folder / 'asker.sock'}"
    server = grpc.aio.server()
    attach = grpc.stream_stream_rpc_method_handler(
        asker.attach,
        request_deserializer=AttachRequest.FromString,
        response_serializer=AttachResponse.SerializeToString,
    )
    handlers = grpc.method_handlers_generic_handler("isthmus.v1.CodeServer", {"Attach": attach})
    server.add_generic_rpc_handlers((handlers,))
    server.add_insecure_port(address)
    await server.start()
    held = HeldServer(name="asker", generation=1, is_fresh=True)
    held.attach(Server("asker", "sales", 1, "life", address))
    try:
        async with Publisher(AWAY) as publisher, asyncio.TaskGroup() as tasks:
            attached = tasks.create_task(_attend(publisher, held))
            await eventually(lambda: len(asker.answers) >= count, within=30)
            attached.cancel()
    finally:
        await held.close()
        await server.stop(None)
    return asker.answers


async def _never() -> None:
    await asyncio.Event().wait()


async def _attend(publisher: Publisher, held: HeldServer) -> None:
    async with asyncio.TaskGroup() as tasks:
        relay = InstanceRelay(publisher, Recipient("test", "edge"), tasks=tasks, wait_heard=_never)
        relay.attend(held, "sales")


@pytest.mark.parametrize("timeout_s", [math.nan, math.inf, -math.inf, -1.0, 0.0, 1e308, 5e-324])
async def test_a_hostile_time_ends_its_query_and_nothing_else(timeout_s: float, tmp_path: Path) -> None:
    hostile = InstanceQuery(id="hostile", timeout_s=timeout_s, is_optional=True)
    good = InstanceQuery(id="good", timeout_s=5.0, is_optional=True)
    asker = Asker(hostile, good)
    answers = await answers_to(asker, tmp_path, count=2)
    assert {answer.WhichOneof("result") for answer in answers.values()} == {"failure"}
    assert asker.calls == 1


async def test_one_location_takes_no_more_than_its_share(tmp_path: Path) -> None:
    flood = [InstanceQuery(id=f"q{number}", timeout_s=3600.0) for number in range(MOST_OF_ONE_LOCATION + 3)]
    answers = await answers_to(Asker(*flood), tmp_path, count=3)
    assert len(answers) == 3
    assert all("too many queries" in answer.failure.message for answer in answers.values())
