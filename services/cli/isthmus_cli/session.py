"""Runs one command's coroutine with a client."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from isthmus_client.discovery import locate_server
from isthmus_client.errors import UnavailableError

from isthmus_cli.collector import wake_collector
from isthmus_cli.reach import check_form, is_refused, unreachable

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

    from isthmus_cli.options import ServerOptions

#: Seconds that a person waits before hearing that nobody answers; long enough for a server that is just starting.
_CONNECT_TIMEOUT_S = 3.0


@asynccontextmanager
async def connected(options: "ServerOptions") -> AsyncIterator["ControlPlaneClient"]:
    """Open a client for what the command's options say."""
    from isthmus_client.client import ControlPlaneClient

    wake_collector()
    deployment = options.deployment or os.environ.get("ISTHMUS_DEPLOYMENT") or "default"
    server = locate_server(options.server)
    check_form(server)
    if is_refused(server.address):
        raise unreachable(server, why="the connection is refused")
    client = ControlPlaneClient(server.address, deployment=deployment, connect_timeout_s=_CONNECT_TIMEOUT_S)
    try:
        await client.__aenter__()
    except UnavailableError as error:
        raise unreachable(server, why=f"no connection within {_CONNECT_TIMEOUT_S:g} s") from error
    try:
        yield client
    finally:
        await client.__aexit__()


def run_to_end(main: Coroutine[Any, Any, int]) -> None:
    """Run a command and exit with the code that it returns. Ctrl-C cancels it, a second one ends it at once.

    Raises:
        KeyboardInterrupt: After a Ctrl-C, once the command has said its last words.
    """
    import asyncio

    interrupts: list[int] = []
    try:
        exit_code = asyncio.run(_interruptible(main, interrupts))
    except asyncio.CancelledError:
        if interrupts:
            raise KeyboardInterrupt from None
        raise
    sys.exit(exit_code)


async def _interruptible(main: Coroutine[Any, Any, int], interrupts: list[int]) -> int:
    """Let the event loop itself hear Ctrl-C, and note each.

    asyncio's own handler is not heard when the signal comes right before the loop begins to wait, or to another thread:
    nothing wakes the loop then.
    """
    import asyncio

    task = asyncio.current_task()

    def interrupt() -> None:
        interrupts.append(signal.SIGINT)
        if len(interrupts) > 1 or task is None:
            raise KeyboardInterrupt
        task.cancel()

    with suppress(NotImplementedError):
        # Windows has none; there, Ctrl-C works as asyncio has it.
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    return await main
