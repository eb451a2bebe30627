"""A code server in the agent's hands: its client, how far it has come, and what lives on it."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.code_server.client import CodeServerClient
from isthmus_agent.code_server.errors import CodeServerError, CodeServerUnavailableError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import Server, ServerExit, StartStep
from isthmus_agent.run_key import RunKey
from isthmus_agent.servers.phase import ServerPhase


@dataclass(frozen=True)
class Description:
    """What a server said about its definitions."""

    snapshot: telemetry.LocationSnapshot
    snapshot_hash: str
    framework: str
    python_version: str

    @classmethod
    def of(cls, response: code_server.DescribeResponse) -> "Description":
        """Read a response that carries a snapshot."""
        data = response.snapshot.SerializeToString(deterministic=True)
        return cls(
            snapshot=response.snapshot,
            snapshot_hash=hashlib.sha256(data).hexdigest(),
            framework=response.framework,
            python_version=response.python_version,
        )


class HeldServer:
    """A server that a location holds, from the moment that its start was decided."""

    def __init__(self, *, name: str, generation: int, is_fresh: bool) -> None:
        """Hold a server; a fresh one has no runs, of an adopted one that is not known yet."""
        self.name = name
        self.generation = generation
        self.is_fresh = is_fresh
        self.phase = ServerPhase.LOADING
        self.description: Description | None = None
        self.ready_at: float | None = None
        #: Calls off its load: the start of its process, and the wait for its definitions.
        self.cancel_load: Callable[[], object] | None = None
        #: Set when that has ended, one way or the other.
        self.load_over = asyncio.Event()
        #: Set when its end was seen.
        self.gone = asyncio.Event()
        #: How far its start has come, and that in words for people.
        self.step: StartStep | None = None
        self.progress = ""
        self.is_draining = False
        #: Whether nothing lives on it and nothing can begin to: true only until it serves, or once it has drained.
        self.is_idle = is_fresh
        self._runs: frozenset[RunKey] = frozenset()
        #: Whether it gave no answer when it was asked last which runs live there.
        self.is_silent = False
        self._server: Server | None = None
        self._client: CodeServerClient | None = None
        self._calls = 0

    def __repr__(self) -> str:
        return f"<HeldServer {self.name} {self.phase.name} calls={self._calls} idle={self.is_idle}>"

    @property
    def is_dedicated(self) -> bool:
        """Whether it takes one run and ends."""
        return self._server is not None and self._server.is_dedicated

    @property
    def is_started(self) -> bool:
        """Whether there is a process."""
        return self._server is not None

    @property
    def server(self) -> Server | None:
        """The server, once it was started."""
        return self._server

    @property
    def incarnation(self) -> str:
        """The life of the server; empty before its start."""
        return self._server.incarnation if self._server else ""

    @property
    def client(self) -> CodeServerClient:
        """The way to call it.

        Raises:
            CodeServerUnavailableError: it was not started, or was let go.
        """
        if self._client is None:
            raise CodeServerUnavailableError(server=self.name, call="any call", cause="it is not there")
        return self._client

    @property
    def has_calls(self) -> bool:
        """Whether calls are in flight."""
        return self._calls > 0

    @property
    def is_answering(self) -> bool:
        """Whether it can be called, and has loaded its definitions."""
        return self._client is not None and self.phase is ServerPhase.READY

    @property
    def is_open(self) -> bool:
        """Whether there is a way to call it."""
        return self._client is not None

    def attach(self, server: Server) -> None:
        """Note the process, and open the way to it."""
        self._server = server
        self._client = CodeServerClient(server=server.name, address=server.address)

    async def close(self) -> None:
        """Close the way to it; closing twice is fine."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @contextmanager
    def in_use(self) -> Iterator[CodeServerClient]:
        """Keep the server from being stopped while a call is in flight, and until it is seen to be idle again."""
        client = self.client
        self.is_idle = False
        self._calls += 1
        try:
            yield client
        finally:
            self._calls -= 1

    async def list_runs(self, *, timeout_s: float) -> frozenset[RunKey]:
        """Return which runs live there; of a server that is too busy to say (`is_silent`), those that it named last."""
        self.is_silent = True
        if self._client is not None and self.is_answering:
            with suppress(CodeServerError):
                self._runs = await self._client.list_runs(timeout_s=timeout_s)
                self.is_silent = False
        return self._runs

    @property
    def is_first_load(self) -> bool:
        """Whether it never had its definitions. One that was taken over had: its end says nothing about them."""
        return self.phase is ServerPhase.LOADING and self.is_fresh

    def exit_note(self, ending: ServerExit, *, output: str) -> FailureNote:
        """Say how it ended, with the end of what it wrote."""
        problem = "while it loaded the definitions" if self.is_first_load else "while it served"
        text = f"Code server {self.name} {ending} {problem}."
        return FailureNote("CodeServerExited", text, tuple(output.splitlines(keepends=True)))

    async def drain(self, *, timeout_s: float) -> None:
        """Look whether runs live there, and become idle if none does. A server that does not answer is not idle."""
        with suppress(CodeServerError):
            runs = await self.client.list_runs(timeout_s=timeout_s)
            self.is_idle = not runs and self._calls == 0
