"""A broker that takes small messages only, and what is said to it all the same."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest
from integration.broker_stand import SOURCE, monitoring, publishing, take_messages
from isthmus.v1.telemetry_pb2 import Event, RunRef
from isthmus_broker.errors import PublishRefusedError, TransientBrokerError
from isthmus_broker.relay import Relay
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_spool.attempt_folder import AttemptFolder
from isthmus_spool.backlog import JournalBacklog
from isthmus_spool.journal import JournalWriter
from support.eventually import eventually

LIMIT = 60_000
_SET = "application:set_env(rabbit, max_message_size, {0}), persistent_term:put(max_message_size, {0})."
_GET = "{ok, Size} = application:get_env(rabbit, max_message_size), Size."


class Node(Protocol):
    async def control(self, *words: str, stdin: str = "") -> str: ...


@asynccontextmanager
async def small_limit(node: Node) -> AsyncIterator[None]:
    """Let a node take messages of up to `LIMIT` bytes for a while: on channels that are opened then."""
    before = (await node.control("eval", _GET)).strip()
    await node.control("eval", _SET.format(LIMIT))
    try:
        yield
    finally:
        await node.control("eval", _SET.format(before))


def noise(size: int) -> str:
    """A text that does not become smaller."""
    return os.urandom(size // 2).hex()


async def check_a_journal_passes_a_small_limit(settings: BrokerSettings, folder: Path) -> None:
    attempt = AttemptFolder.for_run(folder, RunRef(run_id="r", attempt=1))
    attempt.claim()
    writer = JournalWriter(attempt.journal)
    # Twice the limit each, half of it compressed at the most; and one that no message can hold.
    texts = [noise(20_000) for _ in range(20)]
    for text in texts[:10]:
        writer.append(Event(message=text))
    writer.append(Event(message=noise(250_000), step_key="large"))
    for text in texts[10:]:
        writer.append(Event(message=text))
    async with publishing(settings) as publisher:
        relay = Relay(JournalBacklog(attempt), TelemetryPublisher(publisher, source=SOURCE))
        relay.finish()
        await relay.run()
    assert attempt.is_done
    async with monitoring(settings) as monitor:
        taken = list(dict.fromkeys(await take_messages(monitor, 21)))
    assert taken[:10] + taken[11:] == texts
    assert taken[10].startswith("This event (unknown) could not be told: A message to 'default.a.run' has ")
    assert f"and the broker takes {LIMIT} at the most." in taken[10]


async def check_a_large_message_is_refused_for_good(settings: BrokerSettings) -> None:
    async with publishing(settings) as publisher:
        telemetry = TelemetryPublisher(publisher, source=SOURCE)
        large = Event(message=noise(2 * LIMIT + 10_000))
        for _ in range(2):
            with pytest.raises(PublishRefusedError) as caught:
                await telemetry.publish(TelemetryKind.RUN, [large])
            assert caught.value.limit == LIMIT

        async def is_sent() -> bool:
            # The channel that was closed is noticed a moment later.
            await publisher.wait_connected()
            with suppress(TransientBrokerError):
                await telemetry.publish(TelemetryKind.RUN, [Event(message="small")])
                return True
            return False

        await eventually(is_sent, within=20)
    async with monitoring(settings) as monitor:
        assert await take_messages(monitor, 1) == ["small"]
