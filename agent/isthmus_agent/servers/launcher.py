"""The one way to a code server of a location: starts it, waits for its definitions, minds it, ends it.

Each server is inside a boundary of its own: an error that nobody foresaw makes that server a broken one, with the error as its
reason, and is noticed by no other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_agent.code_server.errors import CodeServerUnavailableError
from isthmus_agent.errors import AgentError, ServerFaultError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import Host, OnStep, Server, ServerSpec
from isthmus_agent.servers.held import Description, HeldServer
from isthmus_agent.servers.phase import ServerPhase
from isthmus_agent.servers.wanted import KeeperTiming

log = get_logger(__name__)

#: How long after a broken call the server's exit may be told, seconds: it says more than that the call broke.
_EXIT_PATIENCE_S = 0.5
#: How often a server that is no longer wanted is asked whether runs still live on it, seconds.
_DRAIN_POLL_S = 1.0
#: How long that question may take, seconds.
_LIST_RUNS_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class LoadFailure:
    """Why a server did not come to serve."""

    failure: telemetry.Failure
    #: None where the server did its part, and the definitions themselves could not be loaded.
    error: AgentError | None = None

    @classmethod
    def of(cls, error: AgentError) -> "LoadFailure":
        """Make one of an error of ours."""
        return cls(FailureNote.of(error).to_proto(), error)


@dataclass(frozen=True)
class Load:
    """What a server's load needs, and who is told of it."""

    #: None for a server that an earlier life of the agent started.
    spec: ServerSpec | None
    timeout_s: float
    #: Told how it ended, with None for well; not at all when it was called off.
    on_end: Callable[[LoadFailure | None], None]
    #: Called when there is a process.
    on_started: Callable[[], None] = lambda: None
    #: Told of each step of the start.
    on_step: OnStep = lambda _step, _progress: None


class ServerLauncher:
    """Starts, minds and ends the code servers of one location, whatever they are for."""

    def __init__(
        self,
        location: str,
        *,
        host: Host,
        tasks: asyncio.TaskGroup,
        timing: KeeperTiming,
        on_attached: Callable[[HeldServer], None],
    ) -> None:
        """Start servers on `host`, with what takes its time as `tasks`; `on_attached` is told of each that can be called."""
        self.location = location
        self.host = host
        self.tasks = tasks
        self.timing = timing
        self._on_attached = on_attached
        self._boundary = Boundary("server")

    def attach(self, held: HeldServer, server: Server) -> None:
        """Note a server's process, and open the way to it."""
        held.attach(server)
        self._on_attached(held)

    def load(self, held: HeldServer, load: Load) -> None:
        """Begin to load a server; its phase tells how that ends."""
        task = self.tasks.create_task(self._load(held, load), name=f"load {held.name}")
        task.add_done_callback(lambda _: held.load_over.set())
        held.cancel_load = task.cancel

    def end(self, held: HeldServer, *, on_gone: Callable[[], None]) -> None:
        """Begin to end a server, its load included, and try until it is gone."""
        self.tasks.create_task(self._end(held, on_gone=on_gone), name=f"end {held.name}")

    def let_go(self, held: HeldServer) -> None:
        """Close the way to a server that is gone."""
        self.mind(held, held.close, name="close")

    def drain(self, held: HeldServer, *, while_: Callable[[], bool], on_end: Callable[[], None]) -> None:
        """Begin to wait until nothing lives on a server, for as long as a condition holds."""
        self.tasks.create_task(self._drain(held, while_=while_, on_end=on_end), name=f"drain {held.name}")

    def mind(self, held: HeldServer, work: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Do something about one server, as a task."""
        self.tasks.create_task(self._mind(held, work), name=f"{name} {held.name}")

    # ------------------------------------------------------------------------------------------------------ the shell

    async def _mind(self, held: HeldServer, work: Callable[[], Awaitable[None]]) -> None:
        with self._boundary.guard(server=held.name, location=self.location):
            await work()

    async def _load(self, held: HeldServer, load: Load) -> None:
        with self._boundary.guard(server=held.name, location=self.location) as fate:
            failure = await self._try_to_load(held, load)
        if fate.error is not None:
            failure = LoadFailure.of(ServerFaultError(server=held.name, cause=fate.error))
        if failure is not None:
            held.phase = ServerPhase.BROKEN
            self._say_broken(held, failure)
        else:
            held.ready_at = asyncio.get_running_loop().time()
            held.phase = ServerPhase.READY
        with self._boundary.guard(server=held.name, location=self.location):
            load.on_end(failure)

    async def _try_to_load(self, held: HeldServer, load: Load) -> LoadFailure | None:
        try:
            if load.spec is not None:
                self.attach(held, await self.host.start(load.spec, on_step=load.on_step))
                load.on_started()
            response = await held.client.describe(timeout_s=load.timeout_s)
        except CodeServerUnavailableError as error:
            with suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_PATIENCE_S):
                    # Whoever tells of the exit calls this load off.
                    await held.gone.wait()
            return LoadFailure.of(error)
        except AgentError as error:
            return LoadFailure.of(error)
        if response.WhichOneof("result") != "snapshot":
            return LoadFailure(response.failure)
        # A large one would hold up everything else here.
        held.description = await asyncio.to_thread(Description.of, response)
        return None

    def _say_broken(self, held: HeldServer, failure: LoadFailure) -> None:
        log.warning(
            "server_broken",
            server=held.name,
            location=self.location,
            error=failure.failure.error_class,
            problem=failure.failure.message,
        )

    async def _drain(self, held: HeldServer, *, while_: Callable[[], bool], on_end: Callable[[], None]) -> None:
        while held.phase is ServerPhase.READY and while_() and not held.is_idle:
            with self._boundary.guard(server=held.name, location=self.location):
                await held.drain(timeout_s=_LIST_RUNS_TIMEOUT_S)
            if not held.is_idle:
                await asyncio.sleep(_DRAIN_POLL_S)
        on_end()

    async def _end(self, held: HeldServer, *, on_gone: Callable[[], None]) -> None:
        if held.cancel_load is not None:
            held.cancel_load()
            # A start that is called off tidies up first: nobody would know of what it leaves.
            await held.load_over.wait()
        await self._boundary.persist(lambda: self._stop(held), server=held.name, location=self.location)
        with self._boundary.guard(server=held.name, location=self.location):
            await held.close()
        on_gone()

    async def _stop(self, held: HeldServer) -> None:
        """Try once to end a server's process; it is never taken for gone because that failed."""
        if held.server is not None and not held.gone.is_set():
            await self.host.stop(held.server, grace_s=self.timing.stop_grace_s)
