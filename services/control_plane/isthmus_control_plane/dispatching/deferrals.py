"""Lets runs go on that waited for a moment, once it has come: one timer, at the next of these moments."""

from datetime import timedelta
from typing import Final

from isthmus_lifecycle.boundary import keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store import deferral
from isthmus_store.errors import TransientStoreError

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core

log = get_logger(__name__)

#: How long changes are gathered before the next look, seconds.
_GATHERING_S: Final = 0.1
#: Timers end early by less than this, seconds: what is due by then is let go.
_EARLY: Final = timedelta(milliseconds=1)


class Deferrals:
    """Watches for the next moment. Every control plane does: a run is let go once, whoever does it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def run(self) -> None:
        """Work until the hub stops."""
        await keep_going_until(self._core.hub.stopping, step=self._turn, name="deferrals")

    async def _turn(self) -> None:
        pause_s = self._core.settings.sweep_interval_s
        try:
            pause_s = min(pause_s, await self.step())
        except TransientStoreError as error:
            log.warning("loop_postponed", loop="deferrals", error=str(error))
        await self._core.hub.deferrals.wait(at_most_s=pause_s)
        # It is rung for each run that ends: those of a moment are looked at together.
        await wait_for(self._core.hub.stopping, at_most_s=min(_GATHERING_S, pause_s))

    async def step(self) -> float:
        """Let go what is due; returns how long nothing else is, seconds."""
        async with self._core.database.look() as tx:
            due_at = await deferral.next_due(tx)
        if due_at is None:
            return float("inf")
        now = clock.now()
        if due_at > now + _EARLY:
            return (due_at - now).total_seconds()
        async with self._core.database.write() as tx:
            count = await deferral.release(tx, at=now + _EARLY)
        log.info("runs_released", runs=count)
        self._core.hub.queue.ring()
        return 0.0
