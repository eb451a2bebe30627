"""Waiting for the agent's name, and saying what is the matter while it, or its queue, is not to be had."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from isthmus_broker.instructions import InstructionConsumer
from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import IdentityTakenError
from isthmus_agent.heartbeat import Bell
from isthmus_agent.means import Means

log = get_logger(__name__)

T = TypeVar("T")

#: How long to wait for the agent's queue before saying that it may be missing, and between two such words, seconds.
_QUEUE_PATIENCE_S: Final = 3.0
_QUEUE_REMINDER_S: Final = 30.0
#: What to do about another process of the agent's name.
TAKEN_REMEDY: Final = (
    "another process is the agent of this name; this one stands by, and takes over when the other is gone"
)


async def becomes_holder(means: Means, *, stop: asyncio.Event) -> bool:
    """Wait until the name is this process's; False if it is to stop before.

    Raises:
        IdentityTakenError: Another process has it, and this one is not to stand by.
    """
    holder = means.holder
    async with asyncio.TaskGroup() as waits:
        held = waits.create_task(holder.wait_held())
        ends = [held, waits.create_task(stop.wait())]
        if not means.settings.stands_by:
            ends.append(waits.create_task(holder.wait_taken()))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in ends:
            one.cancel()
    if not stop.is_set() and not holder.is_held:
        raise IdentityTakenError(agent=means.settings.name)
    return not stop.is_set()


async def unless_stopped(work: Coroutine[Any, Any, T], *, stop: asyncio.Event) -> T | None:
    """Return what `work` does; None if the agent is to stop before that is done, and it is called off then."""
    async with asyncio.TaskGroup() as both:
        working, stopping = both.create_task(work), both.create_task(stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        working.cancel()
        stopping.cancel()
    return None if working.cancelled() else working.result()


async def mind_queue(means: Means, consumer: InstructionConsumer, *, bell: Bell, started: asyncio.Event | None) -> None:
    """Say so when the broker is there and the agent's queue is not, and say when all is well."""
    patience_s = _QUEUE_PATIENCE_S
    while True:
        await means.connection.wait_connected()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await consumer.wait_consuming()
                # An agent that was created just now is heard of at once, not at its next heartbeat.
                bell.ring()
                if started is not None:
                    started.set()
        if not consumer.is_consuming:
            _say_unavailable(means)
            patience_s = _QUEUE_REMINDER_S
            continue
        await asyncio.sleep(_QUEUE_REMINDER_S)


def _say_unavailable(means: Means) -> None:
    settings = means.settings
    remedy = f"create the agent with `isthmus agent create {settings.name}`; this one keeps trying"
    log.warning(
        "agent_queue_unavailable",
        deployment=settings.deployment,
        agent=settings.name,
        remedy=TAKEN_REMEDY if means.holder.is_refused else remedy,
    )
