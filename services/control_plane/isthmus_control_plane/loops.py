"""What goes on behind the API: loops that look again at every wake-up, and the listeners at the broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from isthmus_broker import declaring
from isthmus_broker.link import LINK_ERRORS
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import keep_going, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store import agents
from isthmus_store.errors import TransientStoreError

from isthmus_control_plane.assembly import Parts
from isthmus_control_plane.core import Core
from isthmus_control_plane.wake import Wake

log = get_logger(__name__)


@asynccontextmanager
async def running(parts: Parts) -> AsyncIterator[None]:
    """Keep the loops going while the block runs.

    A loop whose step fails goes on after a pause. Only a broker that cannot be used as we need it ends them all.
    """
    hub, stopping = parts.core.hub, parts.core.hub.stopping
    steps = {
        "fleet": partial(_turn, parts.core, step=parts.fleet.step, wake=hub.fleet, name="fleet"),
        "queue": partial(_turn, parts.core, step=parts.dequeuer.step, wake=hub.queue, name="queue"),
        "slots": partial(_turn, parts.core, step=parts.queries.slots.step, wake=hub.slots, name="slots"),
        "takeover": partial(_turn, parts.core, step=parts.inheritance.step, wake=hub.takeover, name="takeover"),
        "relocation": partial(_turn, parts.core, step=parts.relocation.step, wake=hub.relocation, name="relocation"),
        "expiry": partial(_turn, parts.core, step=parts.expirer.step, wake=hub.expiry, name="expiry"),
    }
    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(keep_going_until(stopping, step=step, name=name)) for name, step in steps.items()]
        loops.append(tasks.create_task(parts.leadership.run(stopping), name="leadership"))
        loops.append(tasks.create_task(parts.sweeper.run(), name="retention"))
        writing = tasks.create_task(parts.applier.run(), name="ticks to write")
        loops.append(tasks.create_task(parts.scheduler.run(), name="schedules"))
        loops.append(tasks.create_task(parts.sensing.run(), name="sensors"))
        loops.append(tasks.create_task(parts.timekeeper.run(), name="timeouts"))
        loops.append(tasks.create_task(parts.freshness.run(), name="freshness"))
        loops.append(tasks.create_task(parts.watcher.run(), name="alert policies"))
        loops.append(tasks.create_task(parts.backfills.run(), name="backfills"))
        loops.append(tasks.create_task(parts.branches.run(), name="branches"))
        loops.append(tasks.create_task(parts.deferrals.run(), name="deferrals"))
        loops.append(tasks.create_task(_with_broker(parts), name="broker"))
        yield
        hub.stop()
        _, late = await asyncio.wait(loops, timeout=parts.core.settings.drain_timeout_s)
        for task in (*late, writing):
            task.cancel()


async def _turn(core: Core, *, step: Callable[[], Awaitable[None]], wake: Wake, name: str) -> None:
    """Do what is due, and wait for the next wake-up, or a few seconds without one."""
    try:
        await step()
    except TransientStoreError as error:
        # The rows are as they were: the next turn does what this one could not.
        log.warning("loop_postponed", loop=name, error=str(error))
    await wake.wait(at_most_s=core.settings.sweep_interval_s)


async def _with_broker(parts: Parts) -> None:
    """Declare what every deployment shares, then attach to it."""
    if not await _declare(parts.core):
        return
    parts.is_declared.set()
    listeners = {
        "answers": parts.questions.run,
        "dead letters": parts.dead_letters.run,
        "notices": parts.notices.run,
        "queries": parts.queries.run,
    }
    async with asyncio.TaskGroup() as tasks:
        listening = [tasks.create_task(keep_going(run, name=name)) for name, run in listeners.items()]
        await keep_going_until(parts.core.hub.stopping, step=parts.outbox.run, name="outbox")
        for task in listening:
            task.cancel()


async def _declare(core: Core) -> bool:
    """Declare the topology, waiting for the broker. Returns False when told to stop first."""
    backoff = Backoff(core.broker.reconnect_min_s, core.broker.reconnect_max_s)
    while not core.hub.stopping.is_set():
        try:
            await declaring.declare(core.broker, monitor_shards=core.settings.monitor_shards)
            await _declare_agents(core)
        except (*LINK_ERRORS, TransientStoreError) as error:
            log.warning("topology_postponed", broker=core.broker.safe_url, error=str(error) or type(error).__name__)
            await wait_for(core.hub.stopping, at_most_s=backoff.next_wait_s())
        else:
            return True
    return False


async def _declare_agents(core: Core) -> None:
    """Declare what agents have that were created before: a newer release may give them another queue."""
    async with core.database.read() as tx:
        known = await agents.all_of(tx)
    if known:
        await declaring.declare_agents(core.broker, [(agent.deployment, agent.name) for agent in known])
