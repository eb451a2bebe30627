"""Waits until nothing of a branch deployment is left."""

import asyncio
from typing import Final

from isthmus.v1.control_plane_pb2 import Branch
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import NotFoundError

from isthmus_cli.view.output import note

_LOOK_EVERY_S: Final = 0.5


async def wait_until_gone(client: ControlPlaneClient, branch: Branch, *, timeout_s: float) -> Branch | None:
    """Wait, and tell on stderr for what; returns None when it is gone, and how it stands when the time is over."""
    latest, told = branch, ""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                latest = await client.get_branch(branch.name)
                if latest.waits_for != told:
                    told = latest.waits_for
                    note(f"{branch.name}: waits for {told}")
                await asyncio.sleep(_LOOK_EVERY_S)
    except NotFoundError:
        return None
    except TimeoutError:
        return latest
