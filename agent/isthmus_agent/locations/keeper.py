"""Keeps one location: carries out what `reconcile` decides, on a task of its own, so that it delays no other."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import structlog
from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.alarm import earliest
from isthmus_agent.dedicated.pool import DedicatedPool
from isthmus_agent.errors import AgentError, LocationRefusedError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import Host, Server, ServerExit, ServerSpec, StartStep
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.locations.held import Description, HeldServer
from isthmus_agent.locations.prospects import check_prospects
from isthmus_agent.locations.reconcile import Plan, ServerPhase, Wanted, reconcile
from isthmus_agent.locations.report import LocationStatus, phase_of
from isthmus_agent.locations.slumber import Slumber
from isthmus_agent.locations.telling import LocationTeller
from isthmus_agent.locations.trouble import Breakdown, TroubleLog
from isthmus_agent.locations.wanted import KeeperTiming, WantedLocation
from isthmus_agent.policy import Refused

log = structlog.get_logger(__name__)


class LocationKeeper:
    """One location: what is wanted of it, its servers, and which of them serves."""

    def __init__(
        self,
        name: str,
        *,
        host: Host,
        tasks: asyncio.TaskGroup,
        timing: KeeperTiming,
        report: Callable[[str, telemetry.Event], None],
        on_serving_change: Callable[[], None],
        on_attached: Callable[[HeldServer], None],
    ) -> None:
        """Keep the location `name` on `host`, with loading and stopping as `tasks`."""
        self.name = name
        self._host = host
        self._tasks = tasks
        self._timing = timing
        self._on_serving_change = on_serving_change
        self._on_attached = on_attached
        self._wanted: WantedLocation | None = None
        self._wanted_name = ""
        self._generation = 0
        self._held: dict[str, HeldServer] = {}
        self._stopping: dict[str, HeldServer] = {}
        self._serving: HeldServer | None = None
        self._trouble = TroubleLog(timing)
        #: What served last of what was wanted: it is started again if it dies while its successor cannot be loaded.
        self._fallback: WantedLocation | None = None
        self._fallback_name = ""
        self._fallback_trouble = TroubleLog(timing)
        self._teller = LocationTeller(name, report)
        self._slumber = Slumber(name, tasks=tasks, on_look=self._wake)
        self._described: Description | None = None
        self._changed = asyncio.Event()
        self._pool = DedicatedPool(
            name, host=host, tasks=tasks, timing=timing, on_attached=on_attached, on_empty=self._wake
        )

    # ------------------------------------------------------------------------------------------- what others may ask

    @property
    def serving(self) -> HeldServer | None:
        """The server that answers launches at this moment."""
        return self._serving

    @property
    def serving_generation(self) -> int:
        """The generation that answers launches, at once or once it is awake; 0 for none."""
        if self._serving is None and self._slumber.is_asleep:
            return self._generation
        return self._serving.generation if self._serving is not None else 0

    @property
    def pool(self) -> DedicatedPool:
        """The servers that take one run each."""
        return self._pool

    @property
    def description(self) -> Description | None:
        """What the location defined when it served last; None before it did."""
        return self._described

    @property
    def wanted(self) -> WantedLocation | None:
        """What is wanted of the location."""
        return self._wanted

    def servers(self) -> Iterator[HeldServer]:
        """Give every server that has a process, whether or not it serves."""
        yield from self._held.values()
        yield from self._stopping.values()
        yield from self._pool.servers()

    async def wait_serving(self) -> HeldServer:
        """Return the server that answers launches, once there is one.

        Raises:
            LocationRefusedError: the policy does not allow the location.
            LocationUnavailableError: the location is not wanted here, or could not be loaded.
        """
        while True:
            self.touch()
            if self._serving is not None:
                return self._serving
            self.raise_if_hopeless()
            await self._changed.wait()

    async def wait_known(self) -> None:
        """Wait until it is known what the location defines; one that sleeps is not woken.

        Raises:
            LocationRefusedError, LocationUnavailableError: as `wait_serving` does.
        """
        while self._described is None or self._wanted is None:
            self.raise_if_hopeless()
            await self._changed.wait()

    async def wait_pool(self) -> DedicatedPool:
        """Return the servers that take one run each, once it is known how they are made.

        A location that sleeps is not woken: the run's own server need not share the processors with the others' return.

        Raises:
            LocationRefusedError, LocationUnavailableError: as `wait_serving` does.
        """
        while self._pool.basis is None or not (self._slumber.is_asleep or self._serving or self._is_pool_open):
            self.raise_if_hopeless()
            await self._changed.wait()
        return self._pool

    def touch(self) -> None:
        """Note that there is something to do here: a location that sleeps wakes up."""
        if self._slumber.touch():
            self._wake()

    def raise_if_hopeless(self, *, has_waited: bool = False) -> None:
        """Raise what `wait_serving` does if waiting makes no sense; with `has_waited`, raise in any case."""
        check_prospects(
            self.name,
            wanted=self._wanted,
            last=self._trouble.last,
            is_fallback_coming=self._is_fallback_coming,
            has_waited=has_waited,
        )

    # --------------------------------------------------------------------------------------------- what happens to it

    def want(self, wanted: WantedLocation | None) -> None:
        """Change what is wanted; None lets the location go once its runs have ended."""
        name = server_name(wanted.spec) if wanted is not None else ""
        if name != self._wanted_name or wanted is None:
            self._trouble.forget()
            self.touch()
        self._wanted, self._wanted_name = wanted, name
        if wanted is not None:
            self._generation = wanted.spec.generation
            if isinstance(wanted.verdict, Refused):
                error = LocationRefusedError(
                    location=self.name, rule=wanted.verdict.rule, problem=wanted.verdict.problem
                )
                self._trouble.refused(FailureNote.of(error).to_proto())
            if self._is_snapshot_missing(wanted):
                self._teller.forget()
        self._wake()

    def adopt(self, server: Server) -> None:
        """Take over a server that an earlier life of the agent started."""
        held = HeldServer(name=server.name, generation=server.generation, is_fresh=False)
        held.attach(server)
        self._on_attached(held)
        self._held[held.name] = held
        self._begin_load(held, spec=None, timeout_s=self._timing.adopt_timeout_s)

    def note_exit(self, ending: ServerExit, *, output: str) -> None:
        """Take notice that a server is gone; `output` is the end of what it wrote."""
        held = next((held for held in self.servers() if held.incarnation == ending.server.incarnation), None)
        if held is None or held.name in self._stopping:
            return
        if held.cancel_load is not None:
            held.cancel_load()
        failure = held.exit_note(ending, output=output).to_proto()
        self._break(held, failure=failure, is_load_failure=held.is_first_load)

    async def run(self) -> None:
        """Keep the location until it is not wanted and nothing of it is left."""
        while self._wanted is not None or self._held or self._stopping or not self._pool.is_empty:
            self._slumber.look(self._serving, idle_ttl_s=self._idle_ttl_s, is_busy=lambda: self._pool.is_busy)
            self._carry_out(self._plan())
            self._pool.serve(self._basis(), is_open=self._is_pool_open)
            self._tell()
            changed = self._changed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_look_at()):
                    await changed.wait()
        self._tell()

    # ------------------------------------------------------------------------------------------------------ the shell

    def _plan(self) -> Plan:
        wanted = None
        if self._wanted is not None and not self._slumber.is_asleep:
            may_start = self._may_start(self._wanted_name, self._trouble)
            wanted = Wanted(self._wanted_name, may_start=may_start, is_allowed=self._wanted.is_allowed)
        fallback = None
        if self._is_fallback_needed:
            fallback = Wanted(self._fallback_name, self._may_start(self._fallback_name, self._fallback_trouble))
        return reconcile(
            wanted=wanted,
            fallback=fallback,
            servers=[held.view for held in self._held.values()],
            serving=self._serving.name if self._serving is not None else None,
        )

    def _may_start(self, name: str, trouble: TroubleLog) -> bool:
        return asyncio.get_running_loop().time() >= trouble.may_start_at and name not in self._stopping

    def _carry_out(self, plan: Plan) -> None:
        chosen = self._held[plan.serving] if plan.serving is not None else None
        if chosen is not self._serving:
            self._switch(chosen)
        for name in plan.stops:
            held = self._held.pop(name)
            self._stopping[name] = held
            self._tasks.create_task(self._stop(held), name=f"stop {name}")
        for held in self._held.values():
            if held.phase is ServerPhase.READY and held is not self._serving and not held.is_draining:
                held.is_draining = True
                self._tasks.create_task(self._drain(held), name=f"drain {held.name}")
        for name in plan.starts:
            started = self._wanted if name == self._wanted_name else self._fallback
            if started is not None:
                held = self._held[name] = HeldServer(name=name, generation=started.spec.generation, is_fresh=True)
                self._begin_load(held, spec=started.spec, timeout_s=started.load_timeout_s)

    def _switch(self, chosen: HeldServer | None) -> None:
        self._serving = chosen
        if chosen is not None:
            # Runs may start on it from now on.
            chosen.is_idle = False
            self._described = chosen.description
        log.info(
            "location_switched",
            location=self.name,
            server=chosen.name if chosen else None,
            serving_generation=chosen.generation if chosen else 0,
        )
        self._wake()
        self._on_serving_change()

    def _begin_load(self, held: HeldServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        task = self._tasks.create_task(self._load(held, spec=spec, timeout_s=timeout_s), name=f"load {held.name}")
        held.cancel_load = task.cancel

    async def _load(self, held: HeldServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        try:
            if spec is not None:
                held.attach(await self._host.start(spec, on_step=lambda *step: self._note_step(held, *step)))
                self._on_attached(held)
                self._wake()
            response = await held.client.describe(timeout_s=timeout_s)
        except AgentError as error:
            failure = FailureNote.of(error).to_proto()
            self._break(held, failure=failure, is_load_failure=held.is_fresh, error=error)
            return
        if response.WhichOneof("result") != "snapshot":
            self._break(held, failure=response.failure, is_load_failure=True)
            return
        held.description = Description.of(response)
        held.phase = ServerPhase.READY
        held.ready_at = asyncio.get_running_loop().time()
        if held.name == self._wanted_name and self._is_wanted_allowed:
            self._trouble.mended()
            self._fallback, self._fallback_name = self._wanted, self._wanted_name
            self._fallback_trouble.forget()
        self._wake()

    def _note_step(self, held: HeldServer, step: StartStep, progress: str) -> None:
        held.step, held.progress = step, progress
        self._wake()

    def _break(
        self, held: HeldServer, *, failure: telemetry.Failure, is_load_failure: bool, error: AgentError | None = None
    ) -> None:
        held.phase = ServerPhase.BROKEN
        log.warning(
            "server_broken", server=held.name, location=self.name, error=failure.error_class, problem=failure.message
        )
        now = asyncio.get_running_loop().time()
        served_s = now - held.ready_at if held.ready_at is not None else 0.0
        breakdown = Breakdown(failure, is_load_failure, served_s, error)
        if held.name == self._wanted_name and self._is_wanted_allowed:
            self._trouble.add(breakdown, now=now)
        elif held.name == self._fallback_name:
            self._fallback_trouble.add(breakdown, now=now)
        self._wake()

    async def _stop(self, held: HeldServer) -> None:
        if held.cancel_load is not None:
            held.cancel_load()
        if held.server is not None:
            await self._host.stop(held.server, grace_s=self._timing.stop_grace_s)
        await held.close()
        del self._stopping[held.name]
        self._wake()

    async def _drain(self, held: HeldServer) -> None:
        """Wait until nothing lives on a server that no longer serves."""
        await held.wait_idle(while_=lambda: held is not self._serving)
        held.is_draining = False
        self._wake()

    def _tell(self) -> None:
        known = self._wanted.known_snapshot_hash if self._wanted is not None else ""
        self._teller.tell(self._status(), description=self._described, known_snapshot_hash=known)

    def _status(self) -> LocationStatus:
        last = self._trouble.last
        held = self._held.get(self._wanted_name)
        phase = phase_of(self._wanted, held=held, serving=self._serving, last=last, is_asleep=self._slumber.is_asleep)
        return LocationStatus(
            self.name,
            self._generation,
            phase,
            self.serving_generation,
            last.failure if last is not None else None,
            held.progress if held is not None and not held.is_started else "",
        )

    @property
    def _idle_ttl_s(self) -> float:
        """How long a location may be idle; 0 while it has not come to serve what is wanted."""
        if self._wanted is None or self._serving is None or self._serving.name != self._wanted_name:
            return 0.0
        return self._wanted.idle_ttl_s

    def _basis(self) -> WantedLocation | None:
        """Return what dedicated servers are made from: what serves, or would if it were awake."""
        if self._slumber.is_asleep:
            return self._wanted
        name = self._serving.name if self._serving is not None else ""
        served = {self._fallback_name: self._fallback, self._wanted_name: self._wanted}
        return served.get(name) if name else None

    @property
    def _is_pool_open(self) -> bool:
        is_allowed = self._is_wanted_allowed or self._is_fallback_coming
        return self._wanted is not None and is_allowed and not self._slumber.is_asleep

    def _is_snapshot_missing(self, wanted: WantedLocation) -> bool:
        """Whether the control plane does not hold what this location serves, though it may have been told once."""
        held = self._held.get(self._wanted_name)
        described = held.description if held is not None else None
        if self._slumber.is_asleep:
            described = self._described
        return described is not None and described.snapshot_hash != wanted.known_snapshot_hash

    def _next_look_at(self) -> float | None:
        """Return when to look again though nothing happened; None for never."""
        return earliest(self._next_start_at(), self._slumber.due_at(self._idle_ttl_s))

    def _next_start_at(self) -> float | None:
        """Return when a server may be started that is not there; None for never."""
        if self._slumber.is_asleep:
            return None
        due = [(self._wanted_name, self._trouble)] if self._is_wanted_allowed else []
        if self._is_fallback_needed and self._serving is None:
            due.append((self._fallback_name, self._fallback_trouble))
        there = self._held.keys() | self._stopping.keys()
        return min((trouble.may_start_at for name, trouble in due if name not in there), default=None)

    @property
    def _is_fallback_needed(self) -> bool:
        last = self._trouble.last
        cannot_load = self._wanted is not None and last is not None and last.is_load_failure
        return cannot_load and self._fallback is not None and self._fallback_name != self._wanted_name

    @property
    def _is_fallback_coming(self) -> bool:
        last = self._fallback_trouble.last
        return self._is_fallback_needed and (last is None or not last.is_load_failure)

    @property
    def _is_wanted_allowed(self) -> bool:
        return self._wanted is not None and self._wanted.is_allowed

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
