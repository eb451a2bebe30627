"""How to wait for an event without forgetting the time."""

import asyncio


async def wait_for(event: asyncio.Event, *, at_most_s: float) -> bool:
    """Wait for an event, or until the time is over; returns whether it happened."""
    try:
        async with asyncio.timeout(at_most_s):
            return await event.wait()
    except TimeoutError:
        return False
