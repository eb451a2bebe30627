"""Checks of what services keep and where they are: database, control plane."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from isthmus_cli.errors import InputError
from isthmus_client.client import ControlPlaneClient
from isthmus_client.discovery import find_server
from isthmus_client.errors import ClientError, UnavailableError
from isthmus_store import agents
from isthmus_store.database import Database
from isthmus_store.errors import StoreError

from isthmus_dev.doctor.finding import Finding

_TIMEOUT_S = 8.0


async def database(url: str) -> AsyncIterator[Finding]:
    """The database answers, and holds the state of a control plane."""
    path = url.partition("sqlite:///")[2]
    if path and not await asyncio.to_thread(Path(path).exists):
        yield Finding.ok("database", f"{path} is made at the first start")
        return
    try:
        async with asyncio.timeout(_TIMEOUT_S), Database.open(url) as opened, opened.read() as tx:
            held = await agents.all_of(tx, deployment="default")
    except (StoreError, OSError, TimeoutError, ValueError) as error:
        remedy = "check ISTHMUS_DATABASE_URL; a database that is new is made ready by the first isthmus-control-plane"
        yield Finding.fail("database", str(error) or type(error).__name__, remedy=remedy)
    else:
        yield Finding.ok("database", f"answers, {len(held)} agents in deployment default")


async def control_plane(*, is_needed: bool) -> AsyncIterator[Finding]:
    """The control plane that commands would speak to answers."""
    address = find_server()
    try:
        async with ControlPlaneClient(address, connect_timeout_s=3.0) as client:
            found = await client.list_agents()
    except UnavailableError:
        text = f"nobody listens at {address}"
        if is_needed:
            yield Finding.fail(
                "control plane", text, remedy="check ISTHMUS_SERVER, and that isthmus-control-plane runs"
            )
        else:
            yield Finding.ok("control plane", f"{text}; `isthmus dev` starts one")
    except (ClientError, InputError) as error:
        remedy = getattr(error, "remedy", "") or "check ISTHMUS_API_TOKEN or ISTHMUS_API_TOKEN_FILE"
        yield Finding.fail("control plane", f"{address}: {error}", remedy=remedy)
    else:
        yield Finding.ok("control plane", f"{address}, {len(found)} agents")
