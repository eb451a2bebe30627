"""The shared servers of one location: starts and ends them, each as a task of its own, and holds the one that serves."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from functools import partial

from isthmus_lifecycle.log import get_logger

from isthmus_agent.hosts.host import Server, ServerExit, ServerSpec, StartStep
from isthmus_agent.locations.candidates import Candidates
from isthmus_agent.locations.reconcile import Plan, ServerView
from isthmus_agent.servers.held import Description, HeldServer
from isthmus_agent.servers.launcher import Load, LoadFailure, ServerLauncher
from isthmus_agent.servers.phase import ServerPhase
from isthmus_agent.servers.trouble import Breakdown

log = get_logger(__name__)


class SharedServers:
    """One location's servers that take many runs. Nothing in here waits but its tasks."""

    def __init__(self, launcher: ServerLauncher, *, candidates: Candidates, on_change: Callable[[], None]) -> None:
        """Keep the servers that `launcher` starts.

        Args:
            launcher: starts and ends servers of the location.
            candidates: what servers are made from; told which of them loaded, and which broke.
            on_change: called when something is to be decided anew.
        """
        self._launcher = launcher
        self._candidates = candidates
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
        return [
            ServerView(held.name, held.generation, held.phase, is_busy=held.has_calls or not held.is_idle)
            for held in self._held.values()
        ]

    def get(self, name: str) -> HeldServer | None:
        """Return the server of that name unless it is being ended."""
        return self._held.get(name)

    # --------------------------------------------------------------------------------------------- what happens to it

    def adopt(self, server: Server) -> None:
        """Take over a server that an earlier life of the agent started."""
        held = self._held[server.name] = HeldServer(name=server.name, generation=server.generation, is_fresh=False)
        self._launcher.attach(held, server)
        self._load(held, spec=None, timeout_s=self._launcher.timing.adopt_timeout_s)

    def note_exit(self, ending: ServerExit, *, output: str) -> None:
        """Take notice that a server is gone; `output` is the end of what it wrote."""
        held = self._held.get(ending.server.name)
        if held is None or held.incarnation != ending.server.incarnation:
            return
        held.gone.set()
        if held.cancel_load is not None:
            held.cancel_load()
        failure = LoadFailure(held.exit_note(ending, output=output).to_proto())
        self._note_broken(held, failure, is_load_failure=held.is_first_load)

    def carry_out(self, plan: Plan) -> bool:
        """Begin all that was decided; return whether another server answers launches from now on, or none."""
        chosen = self._held[plan.serving] if plan.serving is not None else None
        is_switched = chosen is not self._serving
        if is_switched:
            self._switch(chosen)
        for name in plan.stops:
            held = self._ending[name] = self._held.pop(name)
            self._launcher.end(held, on_gone=partial(self._note_gone, name))
        for held in self._held.values():
            if held.phase is ServerPhase.READY and held is not self._serving and not held.is_draining:
                self._drain(held)
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
            location=self._launcher.location,
            server=chosen.name if chosen else None,
            serving_generation=chosen.generation if chosen else 0,
        )

    def _start(self, name: str) -> None:
        location = self._candidates.made_from(name)
        if location is not None:
            held = self._held[name] = HeldServer(name=name, generation=location.spec.generation, is_fresh=True)
            self._load(held, spec=location.spec, timeout_s=location.load_timeout_s)

    def _load(self, held: HeldServer, *, spec: ServerSpec | None, timeout_s: float) -> None:
        on_end, on_step = partial(self._note_loaded, held), partial(self._note_step, held)
        load = Load(spec, timeout_s, on_end=on_end, on_started=self._on_change, on_step=on_step)
        self._launcher.load(held, load)

    def _note_step(self, held: HeldServer, step: StartStep, progress: str) -> None:
        held.step, held.progress = step, progress
        self._on_change()

    def _note_loaded(self, held: HeldServer, failure: LoadFailure | None) -> None:
        if failure is not None:
            is_load_failure = failure.error is None or held.is_fresh
            self._note_broken(held, failure, is_load_failure=is_load_failure)
            return
        self._candidates.note_loaded(held.name)
        self._on_change()

    def _note_broken(self, held: HeldServer, failure: LoadFailure, *, is_load_failure: bool) -> None:
        held.phase = ServerPhase.BROKEN
        now = asyncio.get_running_loop().time()
        served_s = now - held.ready_at if held.ready_at is not None else 0.0
        breakdown = Breakdown(failure.failure, is_load_failure, served_s, failure.error)
        self._candidates.note_broken(held.name, breakdown, now=now)
        self._on_change()

    def _note_gone(self, name: str) -> None:
        del self._ending[name]
        self._on_change()

    def _drain(self, held: HeldServer) -> None:
        """Wait until nothing lives on a server that no longer serves."""

        def end() -> None:
            held.is_draining = False
            self._on_change()

        held.is_draining = True
        self._launcher.drain(held, while_=lambda: held is not self._serving, on_end=end)
