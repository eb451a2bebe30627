"""When a location has had nothing to do for so long that its servers may end: they come back on demand."""

import asyncio
from collections.abc import Callable
from functools import partial

from isthmus_lifecycle.log import get_logger

from isthmus_agent.servers.held import HeldServer
from isthmus_agent.servers.launcher import ServerLauncher

log = get_logger(__name__)

#: How long a server may take to say whether runs live on it, seconds.
_LIST_RUNS_TIMEOUT_S = 5.0


class Slumber:
    """One location's sleep, by the event loop's clock."""

    def __init__(self, launcher: ServerLauncher, *, on_look: Callable[[], None]) -> None:
        """Begin awake, and just used; `on_look` is called when it was looked whether something lives there."""
        self.is_asleep = False
        self._launcher = launcher
        self._on_look = on_look
        self._is_looked_into = False
        self._used_at = asyncio.get_running_loop().time()

    def touch(self) -> bool:
        """Note that there is something to do; return whether that woke the location."""
        was_asleep, self.is_asleep = self.is_asleep, False
        self._used_at = asyncio.get_running_loop().time()
        if was_asleep:
            log.info("location_woken", location=self._launcher.location)
        return was_asleep

    def due_at(self, idle_ttl_s: float) -> float | None:
        """Return when it may fall asleep; None for never, or while that is being looked into."""
        if not idle_ttl_s or self.is_asleep or self._is_looked_into:
            return None
        return self._used_at + idle_ttl_s

    def look(self, serving: HeldServer | None, *, idle_ttl_s: float, is_busy: Callable[[], bool]) -> None:
        """Find out, if it is time, whether something lives there, and let the location fall asleep if nothing does.

        Args:
            serving: the location's shared server.
            idle_ttl_s: how long it may have nothing to do; 0 for ever.
            is_busy: tells whether something lives on its dedicated servers.
        """
        if serving is not None and self._is_due(idle_ttl_s):
            self._is_looked_into = True
            look = partial(self._look, serving, idle_ttl_s=idle_ttl_s, is_busy=is_busy)
            self._launcher.mind(serving, look, name="sleep")

    async def _look(self, serving: HeldServer, *, idle_ttl_s: float, is_busy: Callable[[], bool]) -> None:
        try:
            await serving.drain(timeout_s=_LIST_RUNS_TIMEOUT_S)
        except BaseException:
            # Not looked at again at once.
            self._is_looked_into = False
            self.touch()
            raise
        # Without a pause from here to the end: what is found idle cannot be asked for anything in between.
        self._is_looked_into = False
        if not serving.is_idle or is_busy():
            self.touch()
        elif self._is_due(idle_ttl_s):
            log.info("location_asleep", location=self._launcher.location, idle_ttl_s=idle_ttl_s)
            self.is_asleep = True
        self._on_look()

    def _is_due(self, idle_ttl_s: float) -> bool:
        at = self.due_at(idle_ttl_s)
        return at is not None and asyncio.get_running_loop().time() >= at
