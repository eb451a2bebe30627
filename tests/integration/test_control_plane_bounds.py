"""What is out of bounds, at the API and at the door for instance queries: refused, slowed, and nobody else's trouble."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from integration.control_plane_stand import Stand, control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instance_pb2 as pb
from isthmus.v1.telemetry_pb2 import LocationSnapshot
from isthmus_broker.consumer import Consumer
from isthmus_broker.publisher import Publisher
from isthmus_broker.queries import QueryAnswers, QueryPublisher
from isthmus_control_plane.core import DefinitionCache
from isthmus_control_plane.instance.answerer import MAX_QUERIES_EACH
from isthmus_store import snapshots
from isthmus_store.database import Database
from support.caller import as_it_is, channel_to
from support.eventually import eventually


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'isthmus.db'}"


async def test_hostile_numbers_are_refused_by_the_name_of_their_field(broker_url: str, database_url: str) -> None:
    run_id = str(uuid4())
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        for position in (2**63 - 1, 2**64 - 1):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id, after_position=position)).read()
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert set(violations_of(refused.value)) == {"after_position"}
        query = api.ListRunsQuery(page_size=2**32 - 1, states=[api.RunState.ValueType(7777)])
        query.queued_after.seconds = 2**62
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.ListRuns(query)
        assert set(violations_of(refused.value)) == {"queued_after"}
        query.ClearField("queued_after")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.ListRuns(query)
        assert set(violations_of(refused.value)) == {"page_size", "states[0]"}


async def test_bytes_that_are_no_request_are_refused_as_such(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand, channel_to(stand.address) as channel:
        calls: list[Any] = [
            channel.unary_unary(
                "/isthmus.v1.ControlPlane/GetRun", request_serializer=as_it_is, response_deserializer=as_it_is
            )(b"\xff"),
            channel.unary_stream(
                "/isthmus.v1.ControlPlane/WatchRun", request_serializer=as_it_is, response_deserializer=as_it_is
            )(b"\xff").read(),
        ]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_streams_of_one_connection_have_an_end(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url, max_streams_per_connection=3) as stand:
        await stand.create_agent()
        await stand.apply()
        watch = api.WatchLocationRequest(name="sales")
        held = [stand.stub.WatchLocation(watch) for _ in range(3)]
        for stream in held:
            await stream.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.WatchLocation(watch).read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        # Other calls go on, and one that ends makes room.
        await stand.stub.GetLocation(api.GetLocationRequest(name="sales"))
        held.pop().cancel()

        async def has_room() -> bool:
            try:
                stream = stand.stub.WatchLocation(watch)
                await stream.read()
            except grpc.aio.AioRpcError:
                return False
            held.append(stream)
            return True

        await eventually(has_room, within=30)
        for stream in held:
            stream.cancel()


@asynccontextmanager
async def asking(
    stand: Stand, agent: str, answers: "asyncio.Queue[pb.InstanceAnswer]"
) -> AsyncIterator[QueryPublisher]:
    """Be an agent that passes queries on, and hears the answers."""
    async with asyncio.TaskGroup() as tasks, Publisher(stand.broker) as publisher:
        heard = QueryAnswers(deployment="default", agent=agent, on_answer=answers.put_nowait, tasks=tasks)
        consumer = Consumer(stand.broker, (heard.intake,))
        listening = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        await publisher.wait_connected()
        yield QueryPublisher(publisher)
        listening.cancel()


def query(agent: str, *, timeout_s: float = 50.0) -> pb.QueryEnvelope:
    envelope = pb.QueryEnvelope(deployment="default", agent=agent, location="sales")
    envelope.query.id, envelope.query.timeout_s = str(uuid4()), timeout_s
    envelope.query.asset_keys.SetInParent()
    return envelope


async def test_an_agent_that_floods_waits_behind_itself(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        for name in ("flood", "calm"):
            await stand.create_agent(name)
        loud, quiet = asyncio.Queue[pb.InstanceAnswer](), asyncio.Queue[pb.InstanceAnswer]()
        async with asking(stand, "flood", loud) as flood, asking(stand, "calm", quiet) as calm:
            # Each waits for events that nobody stores: they are all under way at once.
            stuck = [query("flood") for _ in range(MAX_QUERIES_EACH + 60)]
            for it in stuck:
                it.query.run.run_id, it.query.run.attempt, it.query.after_seq = str(uuid4()), 1, 5
            for start in range(0, len(stuck), 20):
                async with asyncio.TaskGroup() as tasks:
                    for it in stuck[start : start + 20]:
                        tasks.create_task(flood.publish(it))
            asked = query("calm")
            await calm.publish(asked)
            async with asyncio.timeout(40):
                answer = await quiet.get()
                refused = [await loud.get() for _ in range(60)]
        assert (answer.query_id, answer.WhichOneof("result")) == (asked.query.id, "asset_keys")
        kinds = Counter(pb.QueryFailure.Kind.Name(it.failure.kind) for it in refused)
        assert kinds == {"KIND_UNAVAILABLE": 60}
        assert all("queries of this agent are under way" in it.failure.message for it in refused)


@pytest.mark.parametrize("timeout_s", [float("nan"), float("inf"), -1.0, 1e308])
async def test_a_query_with_an_absurd_wait_ends_nothing(broker_url: str, sqlite_url: str, timeout_s: float) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        await stand.create_agent()
        answers = asyncio.Queue[pb.InstanceAnswer]()
        async with asking(stand, "alpha", answers) as agent:
            await agent.publish(query("alpha", timeout_s=timeout_s))
            asked = query("alpha")
            await agent.publish(asked)
            async with asyncio.timeout(40):
                while (await answers.get()).query_id != asked.query.id:
                    pass
        assert not stand.ended.is_set()


async def test_a_query_of_hostile_size_is_refused_in_words(broker_url: str, sqlite_url: str) -> None:
    async with control_plane(broker_url, sqlite_url) as stand:
        await stand.create_agent()
        answers = asyncio.Queue[pb.InstanceAnswer]()
        hostile = query("alpha")
        hostile.query.events.kinds.extend(["asset_materialized"] * 100_001)
        async with asking(stand, "alpha", answers) as agent:
            await agent.publish(hostile)
            async with asyncio.timeout(40):
                answer = await answers.get()
        assert answer.failure.kind == pb.QueryFailure.KIND_REFUSED
        assert "events.kinds" in answer.failure.message


async def test_indexes_over_snapshots_are_kept_up_to_their_bytes(sqlite_url: str) -> None:
    cache = DefinitionCache(max_bytes=5_000)
    async with Database.open(sqlite_url) as database:
        await database.migrate()
        async with database.write() as tx:
            for number in range(10):
                snapshot = LocationSnapshot()
                snapshot.jobs.add(name="x" * 990)
                await snapshots.put(
                    tx, snapshot_hash=f"hash-{number}", body=snapshot.SerializeToString(), at=datetime.now(UTC)
                )
            large = LocationSnapshot()
            large.jobs.add(name="x" * 1_000_000)
            await snapshots.put(tx, snapshot_hash="large", body=large.SerializeToString(), at=datetime.now(UTC))
        async with database.read() as tx:
            for number in range(10):
                assert await cache.get(tx, f"hash-{number}") is not None
                assert cache.size <= 5_000
            # One that is larger than all that is kept is kept alone: it is asked for at each launch.
            first = await cache.get(tx, "large")
            assert first is not None
            assert await cache.get(tx, "large") is first
            assert await cache.get(tx, "hash-1") is not None
            assert cache.size <= 5_000
