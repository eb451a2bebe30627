"""How a person names a run."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

_WHOLE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


#: Digits of an id that tell a run from all others, but for a great chance.
_BRIEF = 8


def brief_id(run_id: str) -> str:
    """Return the beginning of an id, as a person would type it."""
    return run_id[:_BRIEF] if _WHOLE.fullmatch(run_id) else run_id


async def id_of(client: "ControlPlaneClient", name: str) -> str:
    """Return the id of the run that a name means; a whole id needs no question."""
    if _WHOLE.fullmatch(name):
        return name
    return (await client.find_run(name)).request.run.run_id
