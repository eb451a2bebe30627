"""The running control plane: what is started, in which order, and how it ends."""

import asyncio
from collections.abc import Callable
from typing import Final

from isthmus_broker.publisher import Publisher
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError

from isthmus_control_plane.api.server import ApiServer
from isthmus_control_plane.assembly import assemble
from isthmus_control_plane.commands.outbox import OutboxDispatcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.loops import running
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub

log = get_logger(__name__)

#: How long the start waits for the broker, seconds.
_DECLARE_PATIENCE_S: Final = 3.0


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
        ExceptionGroup: The broker holds something else under our names, or lacks a plugin (TopologyError).
    """
    async with Database.open(settings.database_url) as database:
        if not await _migrate(database, stop=stop):
            return
        core = Core(settings, database=database, hub=WakeHub())
        publisher = Publisher(core.broker.named("isthmus control plane publisher"))
        parts = assemble(core, publisher=publisher)
        # The address first: when it cannot be had, nothing else was started.
        async with ApiServer.serve(parts.api, settings=settings) as server, publisher, running(parts):
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
