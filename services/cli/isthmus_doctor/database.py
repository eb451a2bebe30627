"""Checks of the database that control plane and monitor keep their state in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from isthmus_store import agents
from isthmus_store.database import Database
from isthmus_store.errors import StoreError

from isthmus_doctor.finding import Finding

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
