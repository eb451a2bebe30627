"""Checks of the control plane that commands would speak to."""

from collections.abc import AsyncIterator

from isthmus_cli.errors import InputError
from isthmus_client.client import ControlPlaneClient
from isthmus_client.discovery import find_server
from isthmus_client.errors import ClientError, UnavailableError

from isthmus_doctor.finding import Finding


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
