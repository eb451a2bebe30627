"""How a person names a run."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

_WHOLE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def id_of(client: "ControlPlaneClient", name: str) -> str:
    """Return the id of the run that a name means; a whole id needs no question."""
    if _WHOLE.fullmatch(name):
        return name
    return (await client.find_run(name)).request.run.run_id
