"""The running control plane: what is started, in which order, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from isthmus_broker import topology
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.link import LINK_ERRORS
from isthmus_broker.notices import NoticeListener
from isthmus_broker.publisher import Publisher
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError

from isthmus_control_plane.api.server import ApiServer
from isthmus_control_plane.api.service import ControlPlaneService, Desks
from isthmus_control_plane.core import Core
from isthmus_control_plane.dead_letters import DeadLetterReader
from isthmus_control_plane.desk.agents import AgentDesk
from isthmus_control_plane.desk.locations import LocationDesk
from isthmus_control_plane.desk.logs import LogDesk
from isthmus_control_plane.desk.questions import QuestionDesk
from isthmus_control_plane.desk.reexecution import ReexecutionDesk
from isthmus_control_plane.desk.runs import RunDesk
from isthmus_control_plane.desk.watch import WatchDesk
from isthmus_control_plane.expire import Expirer
from isthmus_control_plane.instance.desk import InstanceDesk
from isthmus_control_plane.leadership.leader import Leadership
from isthmus_control_plane.outbox import OutboxDispatcher
from isthmus_control_plane.questions import Questions
from isthmus_control_plane.reconcile import Reconciler
from isthmus_control_plane.retention.sweeper import LEASE, Sweeper
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub, wait_for
from isthmus_control_plane.world import SyncMemory

log = get_logger(__name__)

#: How long the start waits for the broker, seconds.
_DECLARE_PATIENCE_S = 3.0


async def run_control_plane(
    settings: ControlPlaneSettings,
    *,
    stop: asyncio.Event,
    started: asyncio.Event | None = None,
    bound: Callable[[str], None] | None = None,
) -> None:
    """Serve until `stop` is set.

    The database must answer at the start, for its migration; it is waited for. The broker may be away at any time: the
    API serves, and what is accepted is delivered later.

    The end, in this order:

    1. Health says NOT_SERVING, and no new calls are taken.
    2. Watches and log streams end; other calls in hand finish, up to `drain_timeout_s`.
    3. The loops end once they are through with what they are at, again up to `drain_timeout_s`.
    4. Confirmed commands are marked as sent; connections and database are closed.

    Args:
        settings: How to run.
        stop: Ends the service when it is set.
        started: Is set once the API answers and the topology is declared, or the broker did not answer at once.
        bound: Is told the address that the API listens on, as host:port.

    Raises:
        AddressTakenError: The API cannot listen there.
        StoreError: The database cannot be used.
        ExceptionGroup: A loop died while the API served, of a TopologyError for example: the broker holds something
            else under our names, or lacks a plugin.
    """
    async with Database.open(settings.database_url) as database:
        if not await _migrate(database, stop=stop):
            return
        core = Core(settings, database=database, hub=WakeHub())
        publisher = Publisher(core.broker.named("isthmus control plane publisher"))
        parts = _assemble(core, publisher=publisher)
        # The address first: when it cannot be had, nothing else was started.
        async with ApiServer.serve(parts.api, settings=settings) as server, publisher, _loops(parts):
            if bound is not None:
                bound(server.address)
            # For those who start beside us and attach to it; without a broker they have to wait as well.
            await wait_for(parts.is_declared, at_most_s=_DECLARE_PATIENCE_S)
            if started is not None:
                started.set()
            log.info("control_plane_started", address=server.address, database=repr(database))
            await stop.wait()
            log.info("control_plane_stopping")
            await server.set_serving(is_serving=False)
            core.hub.close()
            await server.stop(grace_s=settings.drain_timeout_s)
        await _flush(parts.outbox)
    log.info("control_plane_stopped")


@dataclass(frozen=True)
class _Parts:
    core: Core
    api: ControlPlaneService
    questions: Questions
    outbox: OutboxDispatcher
    reconciler: Reconciler
    expirer: Expirer
    dead_letters: DeadLetterReader
    notices: NoticeListener
    instance: InstanceDesk
    leadership: Leadership
    sweeper: Sweeper
    #: The broker has what others attach to.
    is_declared: asyncio.Event


def _assemble(core: Core, *, publisher: Publisher) -> _Parts:
    instructions = InstructionPublisher(publisher)
    questions = Questions(core.broker.named("isthmus control plane answers"), publisher=instructions)
    dispatcher = OutboxDispatcher(core, publisher=publisher)
    memory = SyncMemory()
    runs = RunDesk(core, memory=memory, dispatcher=dispatcher)
    desks = Desks(
        agents=AgentDesk(core, memory=memory),
        locations=LocationDesk(core, memory=memory),
        runs=runs,
        watch=WatchDesk(core),
        questions=QuestionDesk(core, questions=questions, memory=memory),
        logs=LogDesk(core, questions=questions),
        reexecution=ReexecutionDesk(core, runs=runs),
    )
    leadership = Leadership(core.database, name=LEASE, duration_s=core.settings.lease_duration_s)
    return _Parts(
        core=core,
        api=ControlPlaneService(desks),
        questions=questions,
        outbox=dispatcher,
        reconciler=Reconciler(core, memory=memory),
        expirer=Expirer(core, publisher=publisher),
        dead_letters=DeadLetterReader(core, publisher=instructions),
        notices=NoticeListener(core.broker.named("isthmus control plane notices"), on_notice=core.hub.on_notice),
        instance=InstanceDesk(core, publisher=publisher),
        leadership=leadership,
        sweeper=Sweeper(core, leadership=leadership),
        is_declared=asyncio.Event(),
    )


@asynccontextmanager
async def _loops(parts: _Parts) -> AsyncIterator[None]:
    """Keep the loops going while the block runs. One that dies takes the service down, loudly."""
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(parts.reconciler.run(), name="reconcile"),
            tasks.create_task(parts.expirer.run(), name="expire"),
            tasks.create_task(parts.leadership.run(parts.core.hub.stopping), name="leadership"),
            tasks.create_task(parts.sweeper.run(), name="retention"),
            tasks.create_task(_with_broker(parts), name="broker"),
        ]
        yield
        parts.core.hub.stop()
        _, late = await asyncio.wait(running, timeout=parts.core.settings.drain_timeout_s)
        for task in late:
            task.cancel()


async def _with_broker(parts: _Parts) -> None:
    """Declare what every deployment shares, then attach to it."""
    if not await _declare(parts.core):
        return
    parts.is_declared.set()
    async with asyncio.TaskGroup() as tasks:
        listeners = [
            tasks.create_task(parts.questions.run(), name="answers"),
            tasks.create_task(parts.dead_letters.run(), name="dead letters"),
            tasks.create_task(parts.notices.run(), name="notices"),
            tasks.create_task(parts.instance.run(), name="queries"),
        ]
        await parts.outbox.run()
        for listener in listeners:
            listener.cancel()


async def _declare(core: Core) -> bool:
    """Declare the topology, waiting for the broker. Returns False when told to stop first."""
    backoff = Backoff(core.broker.reconnect_min_s, core.broker.reconnect_max_s)
    while not core.hub.stopping.is_set():
        try:
            await topology.declare(core.broker, monitor_shards=core.settings.monitor_shards)
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
        await topology.declare_agents(core.broker, [(agent.deployment, agent.name) for agent in known])


async def _migrate(database: Database, *, stop: asyncio.Event) -> bool:
    """Bring the schema up to date, waiting for the database. Returns False when told to stop first."""
    backoff = Backoff(0.2, 5.0)
    while not stop.is_set():
        try:
            await database.migrate()
        except TransientStoreError as error:
            log.warning("database_unreachable", error=str(error))
            await wait_for(stop, at_most_s=backoff.next_wait_s())
        else:
            return True
    return False


async def _flush(outbox: OutboxDispatcher) -> None:
    try:
        await outbox.flush()
    except TransientStoreError as error:
        log.warning("outbox_not_flushed", error=str(error))
