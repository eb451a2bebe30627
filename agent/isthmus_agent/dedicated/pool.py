"""Gives one location's launches a server each: carries out what `plan_pool` decides, whenever something changed."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from isthmus_agent.alarm import Alarm, earliest
from isthmus_agent.dedicated.placement import merged
from isthmus_agent.dedicated.plan import PoolWish, plan_pool
from isthmus_agent.dedicated.server import DedicatedServer, Launch, Lease
from isthmus_agent.dedicated.servers import DedicatedServers
from isthmus_agent.desired.container import Limits
from isthmus_agent.errors import LocationUnavailableError
from isthmus_agent.run_key import RunKey
from isthmus_agent.servers.launcher import ServerLauncher
from isthmus_agent.servers.wanted import WantedLocation

#: How many servers of a location may load at once: each import keeps a processor busy.
_MOST_LOADING = max(2, os.cpu_count() or 1)
#: How long after a launch the pool is filled up again, seconds: the run that was started needs the processor first.
_REFILL_PAUSE_S = 0.1


@dataclass(frozen=True)
class PoolState:
    """What is told of a pool."""

    ready: int = 0
    wanted: int = 0
    #: What the servers that are ready hold in memory, at the last look.
    memory_bytes: int = 0


class DedicatedPool:
    """The launches that wait for a dedicated server of one location, and the servers that stand by for them.

    Nothing in here waits but `lease`.
    """

    def __init__(self, launcher: ServerLauncher, *, on_empty: Callable[[], None]) -> None:
        """Keep the servers that `launcher` starts; `on_empty` is called when none is left."""
        self._launcher = launcher
        self._on_empty = on_empty
        self._basis: WantedLocation | None = None
        self._is_open = True
        self._servers = DedicatedServers(launcher, on_change=self._act)
        self._launches: dict[RunKey, Launch] = {}
        #: Launches that wait for a server, or are being started on one.
        self._in_flight = 0
        self._refill_at = 0.0
        self._alarm = Alarm(launcher.tasks, self._act, name=f"pool {launcher.location}")
        self._is_acting = self._must_act_again = False

    # ------------------------------------------------------------------------------------------- what others may ask

    @property
    def basis(self) -> WantedLocation | None:
        """What servers are made from; None while that is not known."""
        return self._basis

    @property
    def servers(self) -> DedicatedServers:
        """All that there are, with a run or without."""
        return self._servers

    @property
    def is_empty(self) -> bool:
        """Whether there is no server and no launch."""
        return self._servers.is_empty and not self._launches

    @property
    def is_busy(self) -> bool:
        """Whether runs live here, or are about to."""
        return bool(self._launches) or any(one.is_taken for one in self._servers)

    @property
    def state(self) -> PoolState:
        """How many stand by, and what they cost."""
        return PoolState(len(self._servers.idle), self._standby, self._servers.memory_bytes)

    # --------------------------------------------------------------------------------------------- what happens to it

    def serve(self, basis: WantedLocation | None, *, is_open: bool) -> None:
        """Make servers from `basis` from now on, where it is known, and let none idle unless `is_open`."""
        if (basis or self._basis, is_open) == (self._basis, self._is_open):
            return
        if basis is not None and (self._basis is None or basis.spec != self._basis.spec):
            self._servers.trouble.forget()
        self._basis, self._is_open = basis or self._basis, is_open
        self._act()

    @asynccontextmanager
    async def lease(self, key: RunKey, *, limits: Limits, within_s: float) -> AsyncIterator[Lease]:
        """Give a server for a run while the context is entered; after that it is free again, unless it was kept.

        Raises:
            LocationUnavailableError: none became ready in time, or its definitions could not be loaded.
            ImageUnavailableError, ServerStartError, DedicatedServerLostError: the server that was started for the
                run could not be started, or died.
        """
        self._in_flight += 1
        try:
            lease = await self._take(key, limits=limits, within_s=within_s)
            try:
                yield lease
            finally:
                lease.server.is_taken = lease.is_kept
        finally:
            self._in_flight -= 1
            self._refill_at = asyncio.get_running_loop().time() + _REFILL_PAUSE_S
            self._act()

    # ----------------------------------------------------------------------------------------------------- the launches

    async def _take(self, key: RunKey, *, limits: Limits, within_s: float) -> Lease:
        usual = self._basis.spec.container.limits if self._basis is not None else Limits()
        wanted = merged(limits, over=usual)
        came_at = asyncio.get_running_loop().time()
        launch = self._launches[key] = Launch(key, wanted, has_usual_limits=wanted == usual, came_at=came_at)
        self._act()
        try:
            async with asyncio.timeout(within_s):
                one = await launch.given
        except TimeoutError as error:
            launch.withdraw()
            problem = f"no code server of its own was ready within {within_s:.0f} s"
            raise LocationUnavailableError(location=self._launcher.location, problem=problem) from error
        except asyncio.CancelledError:
            launch.withdraw()
            raise
        finally:
            del self._launches[key]
            self._servers.unbind(launch)
            self._act()
        return Lease(one, was_standby=one.ready_at <= came_at)

    def _give(self, one: DedicatedServer, launch: Launch) -> None:
        is_own = one.bound_to is launch
        one.is_taken, one.bound_to = True, None
        if is_own or launch.has_usual_limits:
            launch.given.set_result(one)
        else:
            launch.is_served = True
            self._launcher.mind(one.held, partial(self._give_limited, one, launch), name="limit")

    async def _give_limited(self, one: DedicatedServer, launch: Launch) -> None:
        """Change the limits of a standby for a launch; where that cannot be done, the launch gets one of its own."""
        is_changed = await self._servers.set_limits(one, launch.limits)
        if not is_changed:
            launch.takes_standby = launch.is_served = False
        if not is_changed or launch.given.done():
            one.is_taken = False
        else:
            launch.given.set_result(one)
        self._act()

    # ------------------------------------------------------------------------------------------------------ the shell

    def _act(self) -> None:
        """Decide, and do it; and again if doing it changed something."""
        self._must_act_again = True
        if self._is_acting:
            return
        self._is_acting = True
        try:
            while self._must_act_again:
                self._must_act_again = False
                self._act_once()
        finally:
            self._is_acting = False
        if self.is_empty:
            self._on_empty()

    def _act_once(self) -> None:
        now, basis = asyncio.get_running_loop().time(), self._basis
        facts = self._servers.facts(basis.spec if basis is not None else None, now=now)
        waiting = [launch.waiting for launch in self._launches.values() if launch.is_waiting]
        plan = plan_pool(self._wish(now), servers=facts, waiting=waiting)
        for name in plan.stops:
            self._servers.end(name)
        for key, name in plan.gives:
            self._give(self._servers[name], self._launches[key])
        if basis is not None:
            for key in plan.cold:
                self._servers.start_for(self._launches[key], basis)
            if plan.refills:
                self._servers.start_standby(basis)
        self._alarm.set(self._next_look_at(now))

    @property
    def _standby(self) -> int:
        return self._basis.standby if self._basis is not None and self._is_open else 0

    def _wish(self, now: float) -> PoolWish:
        may_refill = not self._in_flight and now >= max(self._refill_at, self._servers.trouble.may_start_at)
        return PoolWish(
            standby=self._standby,
            is_open=self._is_open,
            is_known=self._basis is not None,
            may_refill=may_refill,
            most_loading=_MOST_LOADING,
        )

    def _next_look_at(self, now: float) -> float | None:
        """Return when a decision falls due though nothing happens until then."""
        refill_at = self._refill_at if self._refill_at > now else None
        return earliest(refill_at, self._servers.next_change_at(now=now))
