"""The shared servers of one location: starts and ends them, each as a task of its own, and holds the one that serves."""

import asyncio
from collections.abc import Callable, Collection, Iterator

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import AgentError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import Host, Server, ServerExit, ServerSpec, StartStep
from isthmus_agent.locations.candidates import Candidates
from isthmus_agent.locations.held import Description, HeldServer
from isthmus_agent.locations.reconcile import Plan, ServerPhase, ServerView
from isthmus_agent.locations.trouble import Breakdown
from isthmus_agent.locations.wanted import KeeperTiming

log = get_logger(__name__)


class SharedServers:
    """One location's servers that take many runs. Nothing in here waits but its tasks."""

    def __init__(
        self,
        location: str,
        *,
        host: Host,
        tasks: asyncio.TaskGroup,
        timing: KeeperTiming,
        candidates: Candidates,
        on_attached: Callable[[HeldServer], None],
        on_change: Callable[[], None],
    ) -> None:
        """Keep the servers of `location` on `host`.

        Args:
            location: its name.
            host: where the servers run.
            tasks: what takes its time is done in it.
            timing: how patient to be.
            candidates: what servers are made from; told which of them loaded, and which broke.
            on_attached: told of each server that can be called.
            on_change: called when something is to be decided anew.
        """
        self._location = location
        self._host = host
        self._tasks = tasks
        self._timing = timing
        self._candidates = candidates
        self._on_attached = on_attached
        self._on_change = on_change
        self._held: dict[str, HeldServer] = {}
        self._ending: dict[str, HeldServer] = {}
        self._serving: HeldServer | None = None
        self._described: Description | None = None

    # ------------------------------------------------------------------------------------------- what others may ask

    def __iter__(self) -> Iterator[HeldServer]:
        """Give every server that has a process or is about to get one."""
        yield from self._held.values()
        yield from self._ending.values()

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self._held and not self._ending

    @property
    def serving(self) -> HeldServer | None:
        """The server that answers launches at this moment."""
        return self._serving

    @property
    def description(self) -> Description | None:
        """What the location defined when it served last; None before it did."""
        return self._described

    @property
    def names(self) -> Collection[str]:
        """The names that are taken."""
        return self._held.keys() | self._ending.keys()

    @property
    def ending(self) -> Collection[str]:
        """The names of those that are being ended."""
        return self._ending.keys()

    @property
    def views(self) -> list[ServerView]:
        """Those that are not being ended, as the decision sees them."""
        return [held.view for held in self._held.values()]

    def get(self, name: str) -> HeldServer | None:
        """Return the server of that name unless it is being ended."""
        return self._held.get(name)

    # --------------------------------------------------------------------------------------------- what happens to it

    def adopt(self, server: Server) -> None:
        """Take over a server that an earlier life of the agent started."""
        held = HeldServer(name=server.name, generation=server.generation, is_fresh=False)
        held.attach(server)
        self._on_attached(held)
        self._held[held.name] = held
        self._begin_load(held, spec=None, timeout_s=self._timing.adopt_timeout_s)

    def note_exit(self, ending: ServerExit, *, output: str) -> None:
        """Take notice that a server is gone; `output` is the end of what it wrote."""
        held = self._held.get(ending.server.name)
        if held is None or held.incarnation != ending.server.incarnation:
            return
        if held.cancel_load is not None:
            held.cancel_load()
        failure = held.exit_note(ending, output=output).to_proto()
        self._break(held, failure=failure, is_load_failure=held.is_first_load)

    def carry_out(self, plan: Plan) -> bool:
        """Begin all that was decided; return whether another server answers launches from now on, or none."""
        chosen = self._held[plan.serving] if plan.serving is not None else None
        is_switched = chosen is not self._serving
        if is_switched:
            self._switch(chosen)
        for name in plan.stops:
            held = self._ending[name] = self._held.pop(name)
            self._tasks.create_task(self._stop(held), name=f"stop {name}")
        for held in self._held.values():
            if held.phase is ServerPhase.READY and held is not self._serving and not held.is_draining:
                held.is_draining = True
                self._tasks.create_task(self._drain(held), name=f"drain {held.name}")
        for name in plan.starts:
            self._start(name)
        return is_switched

    # ------------------------------------------------------------------------------------------------------ the shell

    def _switch(self, chosen: HeldServer | None) -> None:
        self._serving = chosen
        if chosen is not None:
            # Runs may start on it from now on.
            chosen.is_idle = False
            self._described = chosen.description
        log.info(
            "location_switched",
            location=self._location,
            server=chosen.name if chosen else None,
            serving_generation=chosen.generation if chosen else 0,
        )

    def _start(self, name: str) -> None:
        location = self._candidates.made_from(name)
        if location is not None:
            held = self._held[name] = HeldServer(name=name, generation=location.spec.generation, is_fresh=True)
            self._begin_load(held, spec=location.spec, timeout_s=location.load_timeout_s)

    def _begin_load(self, held: HeldServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        task = self._tasks.create_task(self._load(held, spec=spec, timeout_s=timeout_s), name=f"load {held.name}")
        held.cancel_load = task.cancel

    async def _load(self, held: HeldServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        try:
            if spec is not None:
                held.attach(await self._host.start(spec, on_step=lambda *step: self._note_step(held, *step)))
                self._on_attached(held)
                self._on_change()
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
        self._candidates.note_loaded(held.name)
        self._on_change()

    def _note_step(self, held: HeldServer, step: StartStep, progress: str) -> None:
        held.step, held.progress = step, progress
        self._on_change()

    def _break(
        self, held: HeldServer, *, failure: telemetry.Failure, is_load_failure: bool, error: AgentError | None = None
    ) -> None:
        held.phase = ServerPhase.BROKEN
        log.warning(
            "server_broken",
            server=held.name,
            location=self._location,
            error=failure.error_class,
            problem=failure.message,
        )
        now = asyncio.get_running_loop().time()
        served_s = now - held.ready_at if held.ready_at is not None else 0.0
        self._candidates.note_broken(held.name, Breakdown(failure, is_load_failure, served_s, error), now=now)
        self._on_change()

    async def _stop(self, held: HeldServer) -> None:
        if held.cancel_load is not None:
            held.cancel_load()
        if held.server is not None:
            await self._host.stop(held.server, grace_s=self._timing.stop_grace_s)
        await held.close()
        del self._ending[held.name]
        self._on_change()

    async def _drain(self, held: HeldServer) -> None:
        """Wait until nothing lives on a server that no longer serves."""
        await held.wait_idle(while_=lambda: held is not self._serving)
        held.is_draining = False
        self._on_change()
