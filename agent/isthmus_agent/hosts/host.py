"""The contract of a host: it starts code servers, finds those that run, stops them, and tells of their exits."""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from isthmus_agent.desired.container import ContainerSpec, Limits
from isthmus_agent.desired.location import Isolation
from isthmus_agent.desired.source import CodeSource


@dataclass(frozen=True)
class ServerSpec:
    """Everything that a code server is started from. Equal specs name the same server."""

    deployment: str
    agent: str
    location: str
    generation: int
    source: CodeSource
    #: Shared by all servers of the location: a folder per attempt lies in it.
    runs_dir: Path
    #: With credentials: never in a log line.
    broker_url: str = field(repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    heartbeat_interval_s: float = 5.0
    cancel_grace_s: float = 30.0
    #: What the server runs in; a host of processes has no use for it.
    container: ContainerSpec = field(default_factory=ContainerSpec)
    #: Tells dedicated servers of one generation apart; empty for the location's shared server.
    slot: str = ""

    @property
    def is_dedicated(self) -> bool:
        """Whether the server takes one run and ends."""
        return bool(self.slot)


class StartStep(Enum):
    """How far the start of a server has come."""

    PULLING = "pulling"
    STARTING = "starting"


#: Told of each step of a start, with how far it is in words for people, which may be empty.
OnStep = Callable[[StartStep, str], None]


@dataclass(frozen=True)
class Server:
    """A code server that was started."""

    name: str
    location: str
    generation: int
    #: One life of the server: a server that is started again under its name has another.
    incarnation: str
    #: Where it answers, as a gRPC target.
    address: str
    #: As in the spec that it was started from.
    slot: str = ""

    @property
    def is_dedicated(self) -> bool:
        """Whether it takes one run and ends."""
        return bool(self.slot)


@dataclass(frozen=True)
class ServerExit:
    """The end of one life of a code server. Nothing that it started runs any more."""

    server: Server
    #: None when a signal ended it, or when nobody was there to see.
    exit_code: int | None = None
    #: None when no signal ended it, or when nobody was there to see.
    signal: int | None = None
    is_out_of_memory: bool = False

    def __str__(self) -> str:
        if self.is_out_of_memory:
            return "was killed because memory ran out"
        if self.signal is not None:
            return f"was killed by signal {self.signal}"
        if self.exit_code is not None:
            return f"exited with code {self.exit_code}"
        return "is gone"


class Host(Protocol):
    """A place where code servers run. They outlive the agent that started them.

    An async context manager: leaving it forgets the servers, and stops none.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def default_isolation(self) -> Isolation:
        """Where runs execute when neither they nor their location say so."""
        ...

    async def start(self, spec: ServerSpec, *, on_step: OnStep = lambda _step, _progress: None) -> Server:
        """Start a code server, or return the one that runs already from an equal spec.

        Returning says that it was started, not that it answers.

        Raises:
            ServerStartError: there is nothing to start at that path, or the system refused.
            ImageUnavailableError: its image is not there, or could not be pulled.
        """
        ...

    async def stop(self, server: Server, *, grace_s: float) -> None:
        """End a code server and everything it started: asked first, killed after the grace. Stopping twice is fine.

        Its exit is told by `watch` like any other.
        """
        ...

    async def list(self) -> Sequence[Server]:
        """Return the servers of this agent that run, those of an agent's earlier life included, and watch them too.

        What a server that died unseen left behind is ended before this returns.
        """
        ...

    async def clear(self, *, grace_s: float) -> None:
        """End every server of this agent, those of an earlier life included, and leave nothing of them but files."""
        ...

    def note_wanted(self, specs: Iterable[ServerSpec]) -> None:
        """Take notice of all that servers may be started from: what was fetched for others may go, after its time."""
        ...

    def watch(self) -> AsyncGenerator[ServerExit, None]:
        """Tell of each exit once, as soon as it is proven, and of those since the host was made. One reader at a time."""
        ...

    async def set_limits(self, server: Server, limits: Limits) -> bool:
        """Change what a running server may use; False when this host cannot, and nothing was changed."""
        ...

    async def memory_bytes(self, server: Server) -> int:
        """Return what a server holds in memory, with all that it started; 0 when that cannot be told."""
        ...

    async def tail(self, server: Server, *, max_bytes: int) -> str:
        """Return the end of what the server wrote on its standard output and error, for a person to read."""
        ...
