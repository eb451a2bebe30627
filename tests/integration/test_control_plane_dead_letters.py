"""Letters in the queue of the dead: real ones, forged ones, and ones that nobody knows."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_broker.topology import DEAD, INSTRUCTIONS
from isthmus_store import dead_letters, outbox
from isthmus_store.signal import Accepted
from support.eventually import eventually


async def forge(stand: Stand, body: bytes, *, reason: str, times: int = 1) -> None:
    """Put a letter among the dead that looks as if the broker had put it there."""
    death: Any = {
        "reason": reason,
        "queue": "isthmus.agent.default.alpha",
        "exchange": INSTRUCTIONS,
        "routing-keys": ["isthmus.agent.default.alpha"],
        "count": 1,
        "time": datetime.now(UTC),
    }
    connection = await aio_pika.connect(stand.broker.url)
    async with connection:
        channel = await connection.channel()
        for _ in range(times):
            message = aio_pika.Message(body, headers={"x-death": [death], "x-first-death-reason": reason})
            await channel.default_exchange.publish(message, routing_key=DEAD)


async def kept(stand: Stand, *, count: int) -> None:
    async def are_kept() -> bool:
        async with stand.database.read() as tx:
            return len(await dead_letters.recent(tx)) >= count

    await eventually(are_kept, within=30)


@pytest.mark.parametrize("reason", ["expired", "rejected", "delivery_limit", "maxlen"])
async def test_a_forged_letter_ends_no_run_that_was_taken(broker_url: str, database_url: str, reason: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        run_id = (await stand.launch()).request.run.run_id
        launch = await agent.next("launch_run")
        await stand.record(run_id, signal=Accepted(attempt=1))
        await forge(stand, launch.SerializeToString(), reason=reason, times=5)
        await kept(stand, count=5)
        assert (await stand.run(run_id)).state == api.RUN_STATE_STARTING
        async with stand.database.read() as tx:
            row = await outbox.get(tx, launch.id)
        assert row is not None
        assert row.settled_at is None


async def test_what_is_sent_again_is_what_was_stored(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        await stand.launch()
        launch = await agent.next("launch_run")
        forged = Instruction()
        forged.CopyFrom(launch)
        forged.agent = "elsewhere"
        forged.launch_run.request.job_name = "forged"
        forged.not_after.FromDatetime(datetime.now(UTC) - timedelta(days=1))
        await forge(stand, forged.SerializeToString(), reason="expired")
        assert await agent.next("launch_run", within=30) == launch


async def test_a_letter_that_no_row_knows_is_kept_and_that_is_all(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        unknown = Instruction(id=str(uuid4()), deployment="default", agent="alpha")
        unknown.launch_run.request.job_name = "unknown"
        for body in (unknown.SerializeToString(), b"\xff garbage", b""):
            await forge(stand, body, reason="rejected")
        await kept(stand, count=3)
        await stand.launch()
        assert (await agent.next("launch_run")).launch_run.request.job_name == "nightly"
