"""Sends a policy's example, and waits for what comes of it."""

import asyncio
from typing import Final

from isthmus.v1.control_plane_pb2 import Alert
from isthmus_client.client import ControlPlaneClient

#: Seconds that receivers are waited for, the monitor's look and a slow one's time-out included.
_PATIENCE_S: Final = 45.0
_LOOK_EVERY_S: Final = 0.5


async def sent_example(client: ControlPlaneClient, policy: str, *, requested_by: str) -> Alert:
    """Send it, and return it when each receiver has taken it or failed once, or when the time is over."""
    sent = await client.test_alert_policy(policy, requested_by=requested_by)
    latest = sent
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while not all(it.tries for it in latest.deliveries):
                await asyncio.sleep(_LOOK_EVERY_S)
                page = await client.list_alerts(policy=policy)
                latest = next((it for it in page.alerts if it.id == sent.id), latest)
    except TimeoutError:
        pass
    return latest
