"""The dedicated servers of one location: starts, loads and ends them, each as a task of its own."""

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from isthmus_lifecycle.log import get_logger

from isthmus_agent.dedicated.plan import ServerFacts, Stage
from isthmus_agent.dedicated.server import DedicatedServer, Launch, launch_slot
from isthmus_agent.desired.container import Limits
from isthmus_agent.errors import AgentError, DedicatedServerLostError, LocationUnavailableError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import Server, ServerExit, ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.servers.held import HeldServer
from isthmus_agent.servers.launcher import Load, LoadFailure, ServerLauncher
from isthmus_agent.servers.phase import ServerPhase
from isthmus_agent.servers.trouble import Breakdown, TroubleLog
from isthmus_agent.servers.wanted import WantedLocation

log = get_logger(__name__)

#: How long a server may take to say whether a run is on it, seconds.
_LIST_RUNS_TIMEOUT_S = 5.0


class DedicatedServers:
    """One location's servers that take one run each, whatever stage they are in."""

    def __init__(self, launcher: ServerLauncher, *, on_change: Callable[[], None]) -> None:
        """Keep the servers that `launcher` starts; `on_change` is called when something is to be decided anew."""
        self._launcher = launcher
        self._on_change = on_change
        self._servers: dict[str, DedicatedServer] = {}
        #: What went wrong with those that are made as they are made now.
        self.trouble = TroubleLog(launcher.timing)
        #: What those that are idle hold in memory, at the last look.
        self.memory_bytes = 0

    # ------------------------------------------------------------------------------------------- what others may ask

    def __iter__(self) -> Iterator[DedicatedServer]:
        """Give every server that has a process or is about to get one."""
        return iter(self._servers.values())

    def __getitem__(self, name: str) -> DedicatedServer:
        """Return the server of that name."""
        return self._servers[name]

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self._servers

    @property
    def idle(self) -> list[DedicatedServer]:
        """Those that stand by."""
        return [one for one in self if one.stage is Stage.READY and one.bound_to is None]

    def facts(self, basis: ServerSpec | None, *, now: float) -> list[ServerFacts]:
        """Return all as the decision sees them, those that have waited longest first; made from `basis` now."""
        stale_before = now - self._launcher.timing.surplus_kept_s
        in_order = sorted(self, key=lambda one: one.ready_at)
        return [one.facts(basis, stale_before=stale_before) for one in in_order]

    def next_change_at(self, *, now: float) -> float | None:
        """Return when a server becomes stale, or may be started, though nothing happens until then."""
        waiting = [since for one in self if (since := one.waits_since) is not None]
        due = [self.trouble.may_start_at, *(since + self._launcher.timing.surplus_kept_s for since in waiting)]
        return min((moment for moment in due if moment > now), default=None)

    # --------------------------------------------------------------------------------------------- what happens to it

    def adopt(self, server: Server, *, is_taken: bool) -> None:
        """Take over a server that an earlier life of the agent started, with a run on it or without."""
        held = HeldServer(name=server.name, generation=server.generation, is_fresh=False)
        now = asyncio.get_running_loop().time()
        one = self._servers[server.name] = DedicatedServer(held, server.slot, is_taken=is_taken, free_since=now)
        self._launcher.attach(held, server)
        self._load(one, spec=None, timeout_s=self._launcher.timing.adopt_timeout_s)

    def note_exit(self, ending: ServerExit, *, output: str) -> None:
        """Take notice that a server is gone; `output` is the end of what it wrote."""
        one = self._servers.get(ending.server.name)
        if one is None or one.held.incarnation != ending.server.incarnation:
            return
        one.held.gone.set()
        if one.stage is Stage.LOADING and one.held.is_fresh:
            error = DedicatedServerLostError(
                server=one.name,
                how=str(ending),
                is_out_of_memory=ending.is_out_of_memory,
                stack=tuple(output.splitlines(keepends=True)),
            )
            self._note_broken(one, error)
        elif one.stage is Stage.READY:
            log.warning("standby_lost", server=one.name, how=str(ending))
        if one.held.cancel_load is not None:
            one.held.cancel_load()
        self._remove(one)

    async def look(self) -> None:
        """Look what the idle servers cost, and whether one is kept for a run that never came."""
        idle = self.idle
        sizes = [await self._launcher.host.memory_bytes(one.held.server) for one in idle if one.held.server is not None]
        self.memory_bytes = sum(sizes)
        for one in [one for one in self if one.is_taken and not one.held.has_calls]:
            is_unused = one.held.is_answering and not await one.held.list_runs(timeout_s=_LIST_RUNS_TIMEOUT_S)
            if is_unused and one.seems_unused and not one.held.has_calls:
                # Asked twice, half a minute apart: a run that had been on it would have ended it.
                log.warning("dedicated_server_unused", server=one.name)
                one.is_taken = False
            one.seems_unused = is_unused
        self._on_change()

    def start_standby(self, basis: WantedLocation) -> None:
        """Start a server for whoever comes."""
        self._start(replace(basis.spec, slot=uuid.uuid4().hex[:8]), basis=basis, bound_to=None)

    def start_for(self, launch: Launch, basis: WantedLocation) -> None:
        """Start a server for a launch, or take the one that an earlier delivery of it had started."""
        container = replace(basis.spec.container, limits=launch.limits)
        for number in itertools.count():
            spec = replace(basis.spec, slot=launch_slot(launch.key, number), container=container)
            earlier = self._servers.get(server_name(spec))
            if earlier is None:
                self._start(spec, basis=basis, bound_to=launch)
                return
            if earlier.bound_to is None and earlier.stage in {Stage.LOADING, Stage.READY}:
                earlier.bound_to = launch
                self._on_change()
                return

    def unbind(self, launch: Launch) -> None:
        """Let a launch go: what was started for it stands by, if it was not given."""
        for one in self:
            if one.bound_to is launch:
                one.bound_to, one.free_since = None, asyncio.get_running_loop().time()

    def end(self, name: str) -> None:
        """End a server."""
        one = self._servers[name]
        one.is_ending = True
        self._launcher.end(one.held, on_gone=partial(self._remove, one))

    async def set_limits(self, one: DedicatedServer, limits: Limits) -> bool:
        """Change what a server may use, so that it suits one launch alone; return whether that could be done."""
        try:
            one.is_altered = one.held.server is not None and await self._launcher.host.set_limits(
                one.held.server, limits
            )
        except AgentError as error:
            log.warning("limits_not_changed", server=one.name, problem=str(error))
            one.is_altered = False
        return one.is_altered

    # ------------------------------------------------------------------------------------------------------ the shell

    def _start(self, spec: ServerSpec, *, basis: WantedLocation, bound_to: Launch | None) -> None:
        held = HeldServer(name=server_name(spec), generation=spec.generation, is_fresh=True)
        now = asyncio.get_running_loop().time()
        one = self._servers[held.name] = DedicatedServer(held, spec.slot, bound_to=bound_to, free_since=now)
        self._load(one, spec=spec, timeout_s=basis.load_timeout_s)

    def _load(self, one: DedicatedServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        self._launcher.load(one.held, Load(spec, timeout_s, on_end=partial(self._note_loaded, one)))

    def _note_loaded(self, one: DedicatedServer, failure: LoadFailure | None) -> None:
        if failure is None:
            self.trouble.forget()
        elif not one.is_taken:
            self._note_broken(one, failure.error or self._not_loaded(failure))
        self._on_change()

    def _not_loaded(self, failure: LoadFailure) -> AgentError:
        told = failure.failure
        note = FailureNote(told.error_class, told.message, tuple(told.stack))
        problem = f"its definitions could not be loaded ({note.error_class}: {note.message})"
        return LocationUnavailableError(location=self._launcher.location, problem=problem, failure=note)

    def _note_broken(self, one: DedicatedServer, error: AgentError) -> None:
        one.held.phase = ServerPhase.BROKEN
        failure = FailureNote.of(error).to_proto()
        self.trouble.add(Breakdown(failure, is_load_failure=True), now=asyncio.get_running_loop().time())
        launch, one.bound_to = one.bound_to, None
        if launch is not None:
            launch.fail(error)

    def _remove(self, one: DedicatedServer) -> None:
        if self._servers.get(one.name) is one:
            del self._servers[one.name]
            self._launcher.let_go(one.held)
        self._on_change()
