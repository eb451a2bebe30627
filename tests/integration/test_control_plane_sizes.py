"""A broker that takes small messages only: what a control plane cannot send ends with a reason, and holds up nothing."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from integration.broker.size_limit import LIMIT, small_limit
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instance_pb2 as pb
from isthmus.v1 import telemetry_pb2
from isthmus_broker.consumer import Consumer
from isthmus_broker.publisher import Publisher
from isthmus_broker.queries import QueryAnswers, QueryPublisher
from support.eventually import eventually, patiently
from support.rabbitmq import Rabbit


@pytest.fixture
async def stand(rabbitmq: Rabbit, broker_url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    async with (
        small_limit(rabbitmq.node),
        control_plane(broker_url, f"sqlite+aiosqlite:///{tmp_path}/isthmus.db") as stand,
    ):
        yield stand


async def test_a_launch_that_is_too_large_fails_with_that_reason_and_the_next_is_sent(stand: Stand) -> None:
    async with stand.serving() as agent:
        large = await stand.launch(run_config_json=json.dumps({"ops": secrets.token_hex(LIMIT)}))
        small = await stand.launch()
        launched = await agent.next("launch_run")
        assert launched.launch_run.request.run.run_id == small.request.run.run_id

        async def has_failed() -> bool:
            return (await stand.run(large.request.run.run_id)).state == api.RUN_STATE_FAILED

        await eventually(has_failed, within=20)
        ended = await stand.run(large.request.run.run_id)
        assert ended.reason == telemetry_pb2.RUN_REASON_INVALID_REQUEST
        assert "too large to be sent" in ended.message


async def test_an_answer_that_is_too_large_is_refused_as_such_and_a_small_one_comes(stand: Stand) -> None:
    async with stand.serving():
        run_id = (await stand.launch()).request.run.run_id
        said = [telemetry_pb2.Event(seq=seq, message=secrets.token_hex(LIMIT // 2)) for seq in (1, 2, 3)]
        for event in said:
            event.log_message.level = 20
        await stand.record(run_id, *said)
        many = await asked(stand, pb.RunEventsQuery(run_id=run_id))
        assert many.failure.kind == pb.QueryFailure.KIND_REFUSED
        assert "too large" in many.failure.message
        few = await asked(stand, pb.RunEventsQuery(run_id=run_id, limit=1, is_descending=True))
        assert [it.event.message for it in few.events.events] == [said[-1].message], few.failure


async def asked(stand: Stand, query: pb.RunEventsQuery) -> pb.InstanceAnswer:
    """Ask as an agent does for its code servers; return the answer."""
    answers: asyncio.Queue[pb.InstanceAnswer] = asyncio.Queue()
    envelope = pb.QueryEnvelope(deployment="default", agent="alpha", location="sales")
    envelope.query.id, envelope.query.timeout_s = str(uuid4()), 50
    envelope.query.run_events.CopyFrom(query)
    async with asyncio.TaskGroup() as tasks, Publisher(stand.broker) as publisher:
        heard = QueryAnswers(deployment="default", agent="alpha", on_answer=answers.put_nowait, tasks=tasks)
        consumer = Consumer(stand.broker, (heard.intake,))
        listening = tasks.create_task(consumer.run())
        await consumer.wait_consuming()
        await publisher.wait_connected()
        await QueryPublisher(publisher).publish(envelope)
        async with patiently(20):
            # A refusal whose confirm was lost comes twice.
            while (answer := await answers.get()).query_id != envelope.query.id:
                continue
        listening.cancel()
    return answer
