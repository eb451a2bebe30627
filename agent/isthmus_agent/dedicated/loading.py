"""Brings one dedicated server up: starts it, opens the way to it, and waits for its definitions."""

import asyncio
import contextlib
from collections.abc import Callable

from isthmus_lifecycle.log import get_logger

from isthmus_agent.dedicated.server import DedicatedServer
from isthmus_agent.errors import AgentError, CodeServerUnavailableError, LocationUnavailableError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import Host, Server, ServerSpec
from isthmus_agent.locations.held import HeldServer
from isthmus_agent.locations.reconcile import ServerPhase

log = get_logger(__name__)

#: How long after a broken call the server's exit may be told, seconds: it says more than that the call broke.
_EXIT_PATIENCE_S = 0.5


class ServerLoader:
    """Loads the dedicated servers of one location."""

    def __init__(self, location: str, *, host: Host, on_attached: Callable[[HeldServer], None]) -> None:
        """Start servers on `host`; `on_attached` is told of each that can be called."""
        self._location = location
        self._host = host
        self._on_attached = on_attached

    def attach(self, one: DedicatedServer, server: Server) -> None:
        """Note a server's process, and open the way to it."""
        one.held.attach(server)
        one.is_started.set()
        self._on_attached(one.held)

    async def load(self, one: DedicatedServer, *, spec: ServerSpec | None, timeout_s: float) -> AgentError | None:
        """Start a server, or none where it runs already, and wait until it is ready; return why it is not."""
        try:
            if spec is not None:
                self.attach(one, await self._host.start(spec))
            response = await one.held.client.describe(timeout_s=timeout_s)
        except CodeServerUnavailableError as error:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_PATIENCE_S):
                    # Whoever tells of the exit calls this load off.
                    await one.gone.wait()
            return error
        except AgentError as error:
            return error
        finally:
            one.is_started.set()
        if response.WhichOneof("result") != "snapshot":
            failure = response.failure
            note = FailureNote(failure.error_class, failure.message, tuple(failure.stack))
            problem = f"its definitions could not be loaded ({note.error_class}: {note.message})"
            return LocationUnavailableError(location=self._location, problem=problem, failure=note)
        one.held.phase = ServerPhase.READY
        return None

    def broke(self, one: DedicatedServer, error: AgentError) -> None:
        """Note that a server will never be ready."""
        one.held.phase = ServerPhase.BROKEN
        log.warning(
            "server_broken",
            server=one.name,
            location=self._location,
            error=type(error).__name__,
            problem=str(error),
        )
