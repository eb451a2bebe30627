"""Runs one command's coroutine with a client."""

import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from isthmus_cli.discovery import find_server

if TYPE_CHECKING:
    from isthmus_cli.client import ControlPlaneClient
    from isthmus_cli.options import ServerOptions

#: Seconds that a person waits before hearing that nobody answers; long enough for a server that is just starting.
_CONNECT_TIMEOUT_S = 3.0


@asynccontextmanager
async def connected(options: "ServerOptions") -> AsyncIterator["ControlPlaneClient"]:
    """Open a client for what the command's options say."""
    from isthmus_cli.client import ControlPlaneClient

    deployment = options.deployment or os.environ.get("ISTHMUS_DEPLOYMENT") or "default"
    address = find_server(options.server)
    async with ControlPlaneClient(address, deployment=deployment, connect_timeout_s=_CONNECT_TIMEOUT_S) as client:
        yield client


def run_to_end(main: Coroutine[Any, Any, int]) -> None:
    """Run a command and exit with the code that it returns."""
    import asyncio

    sys.exit(asyncio.run(main))
