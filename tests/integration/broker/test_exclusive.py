"""An agent's queues have one consumer at a time."""

import asyncio

import pytest
from integration.broker_stand import Inbox, instruction, publishing
from isthmus_broker.consumer import Intake
from isthmus_broker.declaring import declare, declare_agent
from isthmus_broker.instructions import Hold, InstructionConsumer, InstructionPublisher, Recipient
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.topology import query_answer_queue
from support.eventually import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def settings(broker_url: str) -> BrokerSettings:
    settings = BrokerSettings(broker_url)
    await declare(settings, monitor_shards=1)
    await declare_agent(settings, deployment="default", agent="a")
    return settings


class Noted:
    """What a consumer said of its hold on the queues."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note_held(self) -> None:
        self.said.append("held")

    def note_lost(self) -> None:
        self.said.append("lost")

    def note_refused(self) -> None:
        self.said.append("refused")


async def test_a_second_consumer_waits_until_the_first_is_gone(settings: BrokerSettings) -> None:
    first, second, noted = Inbox(), Inbox(), Noted()
    lock = Intake(query_answer_queue("default", "a"), 1, lambda _: None, is_exclusive=True)
    the_first = InstructionConsumer(settings, Recipient("default", "a"), prefetch=8, handle=first, hold=Hold(lock))
    waiting = InstructionConsumer(
        settings, Recipient("default", "a"), prefetch=8, handle=second, hold=Hold(lock, noted)
    )
    async with publishing(settings) as publisher, asyncio.TaskGroup() as tasks:
        async with asyncio.TaskGroup() as while_it_lives:
            holding = while_it_lives.create_task(the_first.run())
            await the_first.wait_consuming()
            running = tasks.create_task(waiting.run())
            await eventually(lambda: noted.said.count("refused") >= 2, within=20)
            await InstructionPublisher(publisher).publish(instruction("for the first"))
            await eventually(lambda: first.ids == ["for the first"], within=10)
            assert not waiting.is_consuming
            holding.cancel()
        await eventually(lambda: waiting.is_consuming, within=20)
        await InstructionPublisher(publisher).publish(instruction("for the second"))
        # The first may have gone before it acknowledged what it handled: that comes again, and before.
        await eventually(lambda: second.ids[-1:] == ["for the second"], within=10)
        running.cancel()
    assert set(noted.said) == {"refused", "held", "lost"}
