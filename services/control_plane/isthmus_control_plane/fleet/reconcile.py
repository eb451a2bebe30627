"""Looks through agents and locations whenever something changed, and carries out what is due."""

from isthmus_lifecycle.log import get_logger

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.fleet import placement, sync, world

log = get_logger(__name__)


class FleetReconciler:
    """Places locations, and tells agents of them."""

    def __init__(self, core: Core, *, memory: world.SyncMemory) -> None:
        self._core = core
        self._memory = memory

    async def step(self) -> None:
        """Do all that is due now."""
        at = clock.now()
        async with self._core.database.read() as tx:
            seen = await world.read_to_place(tx, memory=self._memory, at=at)
        if not placement.plan(seen.fleet) and not sync.plan(seen.fleet):
            return
        async with self._core.change_fleet() as tx:
            fresh = await world.read_to_place(tx, memory=self._memory, at=at)
            moved = await world.settle_fleet(tx, fresh, memory=self._memory, at=at)
        self._core.hub.outbox.ring()
        for key in moved:
            log.info("location_placed", deployment=key.deployment, location=key.name)
            self._core.hub.location_changed(key)
