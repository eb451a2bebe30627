"""How a person names a run."""

from typing import TYPE_CHECKING

from isthmus_client.words.run_id import brief_id, is_whole_id

if TYPE_CHECKING:
    from isthmus_client.client import ControlPlaneClient

__all__ = ["brief_id", "id_of"]


async def id_of(client: "ControlPlaneClient", name: str) -> str:
    """Return the id of the run that a name means; a whole id needs no question."""
    if is_whole_id(name):
        return name
    return (await client.find_run(name)).request.run.run_id
