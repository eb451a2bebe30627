"""The dedicated servers of one location: carries out what `plan_pool` decides, whenever something changed."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from isthmus_agent.alarm import Alarm
from isthmus_agent.dedicated.loading import ServerLoader
from isthmus_agent.dedicated.placement import merged
from isthmus_agent.dedicated.plan import PoolWish, Stage, plan_pool
from isthmus_agent.dedicated.server import DedicatedServer, Launch, Lease, launch_slot
from isthmus_agent.errors import AgentError, DedicatedServerLostError, LocationUnavailableError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import Host, Server, ServerExit, ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.locations.held import HeldServer
from isthmus_agent.locations.trouble import Breakdown, TroubleLog
from isthmus_agent.locations.wanted import KeeperTiming, WantedLocation
from isthmus_agent.run_key import RunKey
from isthmus_agent.spec import Limits

log = structlog.get_logger(__name__)

#: How many servers of a location may load at once: each import keeps a processor busy.
_MOST_LOADING = max(2, os.cpu_count() or 1)
#: How long after a launch the pool is filled up again, seconds: the run that was started needs the processor first.
_REFILL_PAUSE_S = 0.1
#: How long a server may take to say whether a run is on it, seconds.
_LIST_RUNS_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class PoolState:
    """What is told of a pool."""

    ready: int = 0
    wanted: int = 0
    #: What the servers that are ready hold in memory, at the last look.
    memory_bytes: int = 0


class DedicatedPool:
    """One location's dedicated servers. Works in the given task group; nothing in here waits but `lease`."""

    def __init__(
        self,
        location: str,
        *,
        host: Host,
        tasks: asyncio.TaskGroup,
        timing: KeeperTiming,
        on_attached: Callable[[HeldServer], None],
        on_empty: Callable[[], None],
    ) -> None:
        """Keep the servers of `location` on `host`.

        Args:
            location: its name.
            host: where the servers run.
            tasks: what takes its time is done in it.
            timing: how patient to be.
            on_attached: told of each server that can be called.
            on_empty: called when none is left.
        """
        self._location = location
        self._host = host
        self._tasks = tasks
        self._timing = timing
        self._on_empty = on_empty
        self._loader = ServerLoader(location, host=host, on_attached=on_attached)
        self._basis: WantedLocation | None = None
        self._is_open = True
        self._servers: dict[str, DedicatedServer] = {}
        self._launches: dict[RunKey, Launch] = {}
        #: Launches that wait for a server, or are being started on one.
        self._in_flight = 0
        self._refill_at = 0.0
        self._trouble = TroubleLog(timing)
        self._alarm = Alarm(tasks, self._act, name=f"pool {location}")
        self._memory_bytes = 0
        self._is_acting = self._must_act_again = False

    # ------------------------------------------------------------------------------------------- what others may ask

    @property
    def basis(self) -> WantedLocation | None:
        """What servers are made from; None while that is not known."""
        return self._basis

    @property
    def is_empty(self) -> bool:
        """Whether there is no server and no launch."""
        return not self._servers and not self._launches

    @property
    def is_busy(self) -> bool:
        """Whether runs live here, or are about to."""
        return bool(self._launches) or any(one.is_taken for one in self._servers.values())

    @property
    def state(self) -> PoolState:
        """How many stand by, and what they cost."""
        wanted = self._basis.standby if self._basis is not None and self._is_open else 0
        return PoolState(len(self._idle()), wanted, self._memory_bytes)

    def servers(self) -> Iterator[HeldServer]:
        """Give every server that has a process or is about to get one."""
        return (one.held for one in self._servers.values())

    # --------------------------------------------------------------------------------------------- what happens to it

    def serve(self, basis: WantedLocation | None, *, is_open: bool) -> None:
        """Make servers from `basis` from now on, where it is known, and let none idle unless `is_open`."""
        if (basis or self._basis, is_open) == (self._basis, self._is_open):
            return
        if basis is not None and (self._basis is None or basis.spec != self._basis.spec):
            self._trouble.forget()
        self._basis, self._is_open = basis or self._basis, is_open
        self._act()

    def adopt(self, server: Server, *, is_taken: bool) -> None:
        """Take over a server that an earlier life of the agent started, with a run on it or without."""
        held = HeldServer(name=server.name, generation=server.generation, is_fresh=False)
        one = self._servers[server.name] = DedicatedServer(held, server.slot, is_taken=is_taken)
        self._loader.attach(one, server)
        self._begin_load(one, spec=None, timeout_s=self._timing.adopt_timeout_s)

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

    def note_exit(self, ending: ServerExit, *, output: str) -> None:
        """Take notice that a server is gone; `output` is the end of what it wrote."""
        one = self._servers.get(ending.server.name)
        if one is None or one.held.incarnation != ending.server.incarnation:
            return
        one.gone.set()
        if one.stage is Stage.LOADING and one.held.is_fresh:
            error = DedicatedServerLostError(
                server=one.name,
                how=str(ending),
                is_out_of_memory=ending.is_out_of_memory,
                stack=tuple(output.splitlines(keepends=True)),
            )
            self._break(one, error)
        elif one.stage is Stage.READY:
            log.warning("standby_lost", server=one.name, how=str(ending))
        if one.held.cancel_load is not None:
            one.held.cancel_load()
        self._remove(one)

    async def look(self) -> None:
        """Look what the idle servers cost, and whether one is kept for a run that never came."""
        idle = self._idle()
        sizes = [await self._host.memory_bytes(one.held.server) for one in idle if one.held.server is not None]
        self._memory_bytes = sum(sizes)
        for one in [one for one in self._servers.values() if one.is_taken and not one.held.has_calls]:
            is_unused = one.held.is_answering and not await one.held.list_runs(timeout_s=_LIST_RUNS_TIMEOUT_S)
            if is_unused and one.seems_unused and not one.held.has_calls:
                # Asked twice, half a minute apart: a run that had been on it would have ended it.
                log.warning("dedicated_server_unused", server=one.name)
                one.is_taken = False
            one.seems_unused = is_unused
        self._act()

    # ------------------------------------------------------------------------------------------------------ the shell

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
            raise LocationUnavailableError(location=self._location, problem=problem) from error
        except asyncio.CancelledError:
            launch.withdraw()
            raise
        finally:
            del self._launches[key]
            self._unbind(key)
            self._act()
        return Lease(one, was_standby=one.ready_at <= came_at)

    def _unbind(self, key: RunKey) -> None:
        for one in self._servers.values():
            if one.bound_to == key:
                one.bound_to = None

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
        now = asyncio.get_running_loop().time()
        basis = self._basis.spec if self._basis is not None else None
        facts = [
            one.facts(basis, stale_before=now - self._timing.surplus_kept_s)
            for one in sorted(self._servers.values(), key=lambda one: one.ready_at)
        ]
        waiting = [launch.waiting for launch in self._launches.values() if launch.is_waiting]
        plan = plan_pool(self._wish(now), servers=facts, waiting=waiting)
        for name in plan.stops:
            self._end(self._servers[name])
        for key, name in plan.gives:
            self._give(self._servers[name], self._launches[key])
        for key in plan.cold:
            self._start_for(self._launches[key])
        if plan.refills and basis is not None:
            self._start(replace(basis, slot=uuid.uuid4().hex[:8]), bound_to=None)
        self._alarm.set(self._next_look_at(now))

    def _wish(self, now: float) -> PoolWish:
        may_refill = not self._in_flight and now >= max(self._refill_at, self._trouble.may_start_at)
        return PoolWish(
            standby=self._basis.standby if self._basis is not None and self._is_open else 0,
            is_open=self._is_open,
            is_known=self._basis is not None,
            may_refill=may_refill,
            most_loading=_MOST_LOADING,
        )

    def _give(self, one: DedicatedServer, launch: Launch) -> None:
        is_own = one.bound_to == launch.key
        one.is_taken, one.bound_to = True, None
        if is_own or launch.has_usual_limits:
            launch.given.set_result(one)
        else:
            launch.is_served = True
            self._tasks.create_task(self._give_limited(one, launch), name=f"limit {one.name}")

    async def _give_limited(self, one: DedicatedServer, launch: Launch) -> None:
        """Change the limits of a standby for a launch; where that cannot be done, the launch gets one of its own."""
        try:
            is_changed = one.held.server is not None and await self._host.set_limits(one.held.server, launch.limits)
        except AgentError as error:
            log.warning("limits_not_changed", server=one.name, problem=str(error))
            is_changed = False
        one.is_altered = is_changed
        if not is_changed:
            launch.takes_standby = launch.is_served = False
        if not is_changed or launch.given.done():
            one.is_taken = False
        else:
            launch.given.set_result(one)
        self._act()

    def _start_for(self, launch: Launch) -> None:
        """Start a server for a launch, or take the one that an earlier delivery of it had started."""
        if self._basis is None:
            return None
        basis = self._basis.spec
        number = 0
        while True:
            container = replace(basis.container, limits=launch.limits)
            spec = replace(basis, slot=launch_slot(launch.key, number), container=container)
            earlier = self._servers.get(server_name(spec))
            if earlier is None:
                return self._start(spec, bound_to=launch.key)
            if earlier.bound_to is None and earlier.stage in {Stage.LOADING, Stage.READY}:
                earlier.bound_to = launch.key
                self._must_act_again = True
                return None
            number += 1

    def _start(self, spec: ServerSpec, *, bound_to: RunKey | None) -> None:
        held = HeldServer(name=server_name(spec), generation=spec.generation, is_fresh=True)
        one = self._servers[held.name] = DedicatedServer(held, spec.slot, bound_to=bound_to)
        timeout_s = self._basis.load_timeout_s if self._basis is not None else self._timing.adopt_timeout_s
        self._begin_load(one, spec=spec, timeout_s=timeout_s)

    def _begin_load(self, one: DedicatedServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        task = self._tasks.create_task(self._load(one, spec=spec, timeout_s=timeout_s), name=f"load {one.name}")
        one.held.cancel_load = task.cancel

    async def _load(self, one: DedicatedServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        error = await self._loader.load(one, spec=spec, timeout_s=timeout_s)
        if error is None:
            one.ready_at = asyncio.get_running_loop().time()
            self._trouble.forget()
        elif not one.is_taken:
            self._break(one, error)
        self._act()

    def _break(self, one: DedicatedServer, error: AgentError) -> None:
        self._loader.broke(one, error)
        failure = FailureNote.of(error).to_proto()
        self._trouble.add(Breakdown(failure, is_load_failure=True), now=asyncio.get_running_loop().time())
        launch = self._launches.get(one.bound_to) if one.bound_to is not None else None
        one.bound_to = None
        if launch is not None:
            launch.fail(error)

    def _end(self, one: DedicatedServer) -> None:
        one.is_ending = True
        self._tasks.create_task(self._stop(one), name=f"stop {one.name}")

    async def _stop(self, one: DedicatedServer) -> None:
        # A start that were called off in the middle might leave a server that nobody knows.
        await one.is_started.wait()
        if one.held.cancel_load is not None:
            one.held.cancel_load()
        if one.held.server is not None:
            await self._host.stop(one.held.server, grace_s=self._timing.stop_grace_s)
        self._remove(one)

    def _remove(self, one: DedicatedServer) -> None:
        if self._servers.get(one.name) is one:
            del self._servers[one.name]
            self._tasks.create_task(one.held.close(), name=f"close {one.name}")
        self._act()

    def _idle(self) -> list[DedicatedServer]:
        return [one for one in self._servers.values() if one.stage is Stage.READY and one.bound_to is None]

    def _next_look_at(self, now: float) -> float | None:
        """Return when a decision falls due though nothing happens until then."""
        due = [one.ready_at + self._timing.surplus_kept_s for one in self._idle()]
        due += [self._refill_at, self._trouble.may_start_at]
        return min((moment for moment in due if moment > now), default=None)
