"""Holds launches back while their location is loaded anew, where one person edits and launches in turn."""

import asyncio
from contextlib import suppress

from isthmus_store import locations, placements
from isthmus_store.state import LocationPhase

from isthmus_control_plane.core import Core
from isthmus_control_plane.key import LocationKey

#: How often it is looked when nothing wakes, seconds.
_POLL_S = 1.0


class ReloadGate:
    """Lets requests about a location through once its newest generation serves or is known not to load."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def wait(self, key: LocationKey) -> None:
        """Wait while the location serves, but is being loaded anew, for as long as `reload_wait_s` says.

        A location that does not serve holds nobody up here: what is asked of it waits, or fails, as it always does.
        """
        if not self._core.settings.reload_wait_s:
            return
        with self._core.hub.location(key) as wake, suppress(TimeoutError):
            async with asyncio.timeout(self._core.settings.reload_wait_s):
                while await self._is_under_way(key) and not self._core.hub.is_closed:
                    await wake.wait(at_most_s=_POLL_S)

    async def _is_under_way(self, key: LocationKey) -> bool:
        async with self._core.database.read() as tx:
            location = await locations.get(tx, deployment=key.deployment, name=key.name)
            if location is None or location.removed_at is not None:
                return False
            held = await placements.all_of(tx, deployment=key.deployment, location=key.name)
        if any(it.serving_generation >= location.generation for it in held):
            # With several agents: runs go to those that serve it already.
            return False
        return any(
            it.serving_generation
            and it.serving_generation < location.generation
            and not (it.generation == location.generation and it.phase is LocationPhase.FAILED)
            for it in held
        )
