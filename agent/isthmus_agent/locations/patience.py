"""Waiting for a location, and saying in the end why it took so long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from isthmus_agent.locations.keeper import LocationKeeper


@asynccontextmanager
async def patience(keeper: LocationKeeper, *, within_s: float) -> AsyncIterator[None]:
    """Wait for a location no longer than that; then say why it took so long."""
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError:
        keeper.raise_if_hopeless(has_waited=True)
        raise
