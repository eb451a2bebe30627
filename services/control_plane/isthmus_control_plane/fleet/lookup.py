"""What is said when a location is named that there is not."""

from isthmus_store import locations
from isthmus_store.transaction import Transaction

from isthmus_control_plane.errors import NotFoundError
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.suggestion import meant


async def no_such_location(tx: Transaction, key: LocationKey) -> NotFoundError:
    """Build the error, with the names that are near."""
    known = [it.name for it in await locations.all_of(tx, deployment=key.deployment)]
    return NotFoundError(
        "location",
        name=key.name,
        deployment=key.deployment,
        hint=meant(key.name, known=known),
        remedy="Add one: isthmus location apply --name NAME --module MODULE. All locations: isthmus location list",
    )
