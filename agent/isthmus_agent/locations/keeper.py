"""Keeps one location: carries out what `reconcile` decides, on a task of its own, so that it delays no other."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary

from isthmus_agent.alarm import earliest
from isthmus_agent.dedicated.pool import DedicatedPool
from isthmus_agent.errors import LocationFaultError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.locations.candidates import Candidates
from isthmus_agent.locations.prospects import check_prospects
from isthmus_agent.locations.reconcile import Plan, reconcile
from isthmus_agent.locations.report import LocationPhase, LocationStatus, phase_of
from isthmus_agent.locations.shared import SharedServers
from isthmus_agent.locations.slumber import Slumber
from isthmus_agent.locations.telling import LocationTeller
from isthmus_agent.servers.held import HeldServer
from isthmus_agent.servers.launcher import ServerLauncher
from isthmus_agent.servers.wanted import WantedLocation

#: First and longest wait before a location at which something unforeseen went wrong is tried again, seconds.
_RETRY_MIN_S, _RETRY_MAX_S = 0.2, 30.0


class LocationKeeper:
    """One location: what is wanted of it, its servers, and which of them serves."""

    def __init__(
        self,
        launcher: ServerLauncher,
        *,
        report: Callable[[str, telemetry.Event], None],
        on_serving_change: Callable[[], None],
    ) -> None:
        """Keep the location of `launcher` by the servers that it starts."""
        self.name = name = launcher.location
        self._on_serving_change = on_serving_change
        self._changed = asyncio.Event()
        self._boundary = Boundary("location")
        #: What nobody foresaw, while it goes on.
        self._fault: telemetry.Failure | None = None
        self._candidates = Candidates(launcher.timing)
        self._shared = SharedServers(launcher, candidates=self._candidates, on_change=self._wake)
        self._pool = DedicatedPool(launcher, on_empty=self._wake)
        self._teller = LocationTeller(name, report)
        self._slumber = Slumber(launcher, on_look=self._wake)

    # ------------------------------------------------------------------------------------------- what others may ask

    @property
    def shared(self) -> SharedServers:
        """The servers that take many runs; one of them answers launches."""
        return self._shared

    @property
    def pool(self) -> DedicatedPool:
        """The servers that take one run each."""
        return self._pool

    @property
    def serving_generation(self) -> int:
        """The generation that answers launches, at once or once it is awake; 0 for none."""
        serving = self._shared.serving
        if serving is None and self._slumber.is_asleep:
            return self._candidates.generation
        return serving.generation if serving is not None else 0

    @property
    def wanted(self) -> WantedLocation | None:
        """What is wanted of the location."""
        wanted = self._candidates.wanted
        return wanted.location if wanted is not None else None

    def specs(self) -> Iterator[ServerSpec]:
        """Give what its servers may be started from."""
        return self._candidates.specs()

    def servers(self) -> Iterator[HeldServer]:
        """Give every server that has a process, whether or not it serves."""
        yield from self._shared
        yield from (one.held for one in self._pool.servers)

    async def wait_serving(self) -> HeldServer:
        """Return the server that answers launches, once there is one.

        Raises:
            LocationRefusedError: the policy does not allow the location.
            LocationUnavailableError: the location is not wanted here, or could not be loaded.
        """
        while True:
            self.touch()
            if self._shared.serving is not None:
                return self._shared.serving
            await self._wait_change()

    async def wait_known(self) -> None:
        """Wait until it is known what the location defines; one that sleeps is not woken.

        Raises:
            LocationRefusedError, LocationUnavailableError: as `wait_serving` does.
        """
        while self._shared.description is None or self._candidates.wanted is None:
            await self._wait_change()

    async def wait_pool(self) -> DedicatedPool:
        """Return the servers that take one run each, once it is known how they are made.

        A location that sleeps is not woken: the run's own server need not share the processors with the others' return.

        Raises:
            LocationRefusedError, LocationUnavailableError: as `wait_serving` does.
        """
        while self._pool.basis is None or not (self._slumber.is_asleep or self._shared.serving or self._is_pool_open):
            await self._wait_change()
        return self._pool

    def touch(self) -> None:
        """Note that there is something to do here: a location that sleeps wakes up."""
        if self._slumber.touch():
            self._wake()

    def raise_if_hopeless(self, *, has_waited: bool = False) -> None:
        """Raise what `wait_serving` does if waiting makes no sense; with `has_waited`, raise in any case."""
        check_prospects(self.name, self._candidates, has_waited=has_waited)

    # --------------------------------------------------------------------------------------------- what happens to it

    def want(self, wanted: WantedLocation | None) -> None:
        """Change what is wanted; None lets the location go once its runs have ended."""
        if self._candidates.want(wanted):
            self.touch()
        if wanted is not None and self._is_snapshot_missing(wanted):
            self._teller.forget()
        self._wake()

    async def run(self) -> None:
        """Keep the location until it is not wanted and nothing of it is left.

        What nobody foresaw makes it a failed one for as long as that goes on; its servers serve on, and it is tried again.
        """
        backoff = Backoff(_RETRY_MIN_S, _RETRY_MAX_S)
        while self._candidates.wanted is not None or not self._shared.is_empty or not self._pool.is_empty:
            changed = self._changed
            with self._boundary.guard(location=self.name) as fate:
                self._act()
                self._fault = None
                self._tell()
                backoff.reset()
            if fate.error is not None:
                await self._rest(fate.error, wait_s=backoff.next_wait_s())
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._next_look_at()):
                        await changed.wait()
        with self._boundary.guard(location=self.name):
            self._tell()

    # ------------------------------------------------------------------------------------------------------ the shell

    def _act(self) -> None:
        self._slumber.look(self._shared.serving, idle_ttl_s=self._idle_ttl_s, is_busy=lambda: self._pool.is_busy)
        if self._shared.carry_out(self._plan()):
            self._wake()
            self._on_serving_change()
        self._pool.serve(self._basis(), is_open=self._is_pool_open)

    async def _rest(self, error: Exception, *, wait_s: float) -> None:
        self._fault = FailureNote.of(LocationFaultError(location=self.name, cause=error)).to_proto()
        with self._boundary.guard(location=self.name):
            self._tell()
        await asyncio.sleep(wait_s)

    def _plan(self) -> Plan:
        now, ending = asyncio.get_running_loop().time(), self._shared.ending
        wanted = self._candidates.wanted if not self._slumber.is_asleep else None
        fallback, serving = self._candidates.needed_fallback, self._shared.serving
        return reconcile(
            wanted=wanted.view(now=now, ending=ending) if wanted is not None else None,
            fallback=fallback.view(now=now, ending=ending) if fallback is not None else None,
            servers=self._shared.views,
            serving=serving.name if serving is not None else None,
        )

    def _tell(self) -> None:
        known = self.wanted.known_snapshot_hash if self.wanted is not None else ""
        self._teller.tell(self._status(), description=self._shared.description, known_snapshot_hash=known)

    def _status(self) -> LocationStatus:
        wanted, serving = self._candidates.wanted, self._shared.serving
        last = wanted.trouble.last if wanted is not None else None
        held = self._wanted_server
        phase = phase_of(self.wanted, held=held, serving=serving, last=last, is_asleep=self._slumber.is_asleep)
        failure = last.failure if last is not None else None
        if self._fault is not None and wanted is not None:
            phase, failure = LocationPhase.FAILED, self._fault
        return LocationStatus(
            self.name,
            self._candidates.generation,
            phase,
            self.serving_generation,
            failure,
            held.progress if held is not None and not held.is_started else "",
        )

    @property
    def _wanted_server(self) -> HeldServer | None:
        wanted = self._candidates.wanted
        return self._shared.get(wanted.name) if wanted is not None else None

    @property
    def _idle_ttl_s(self) -> float:
        """How long a location may be idle; 0 while it has not come to serve what is wanted."""
        wanted, serving = self._candidates.wanted, self._shared.serving
        if wanted is None or serving is None or serving.name != wanted.name:
            return 0.0
        return wanted.location.idle_ttl_s

    def _basis(self) -> WantedLocation | None:
        """Return what dedicated servers are made from: what serves, or would if it were awake."""
        if self._slumber.is_asleep:
            return self.wanted
        serving = self._shared.serving
        return self._candidates.made_from(serving.name) if serving is not None else None

    @property
    def _is_pool_open(self) -> bool:
        return self._candidates.may_serve and not self._slumber.is_asleep

    def _is_snapshot_missing(self, wanted: WantedLocation) -> bool:
        """Whether the control plane does not hold what this location serves, though it may have been told once."""
        held = self._wanted_server
        described = held.description if held is not None else None
        if self._slumber.is_asleep:
            described = self._shared.description
        return described is not None and described.snapshot_hash != wanted.known_snapshot_hash

    def _next_look_at(self) -> float | None:
        """Return when to look again though nothing happened; None for never."""
        start_at = None
        if not self._slumber.is_asleep:
            is_served = self._shared.serving is not None
            start_at = self._candidates.next_start_at(there=self._shared.names, is_served=is_served)
        return earliest(start_at, self._slumber.due_at(self._idle_ttl_s))

    async def _wait_change(self) -> None:
        """Wait until something changed, if that makes sense."""
        self.raise_if_hopeless()
        await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
