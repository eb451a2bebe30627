"""What locations were to be: their histories, and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store import locations
from isthmus_store.record.location import Location, LocationGeneration
from isthmus_store.transaction import Transaction

from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.locations import LocationDesk, LocationView
from isthmus_control_plane.errors import NotFoundError
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation import generation as rules
from isthmus_control_plane.validation.refusal import refuse

_DEFAULT_PAGE: Final = 20
#: How far back the last other settings are looked for, generations: as many as are kept by default.
_LOOK_BACK: Final = 200
_NO_OTHER: Final = (
    "No generation that is kept has other settings. What changed is the code itself: put the former code where the agent "
    "finds it, then: isthmus location reload NAME"
)


@dataclass(frozen=True, slots=True)
class GenerationPage:
    """Some generations of a location, newest first."""

    generations: Sequence[LocationGeneration]
    has_more: bool


class GenerationDesk:
    """Shows the histories of locations, and goes back in them."""

    def __init__(self, core: Core, *, locations: LocationDesk) -> None:
        self._core = core
        self._locations = locations

    async def page(self, request: api.ListGenerationsRequest) -> GenerationPage:
        """Return some of a location's generations, those of a removed one, too.

        Raises:
            NotFoundError: There was never such a location.
        """
        refuse(rules.list_generations(request))
        key, size = LocationKey(request.deployment or DEFAULT, request.name), request.page_size or _DEFAULT_PAGE
        async with self._core.database.read() as tx:
            await _existing(tx, key)
            found = await locations.history(
                tx, deployment=key.deployment, name=key.name, before=request.before_generation or None, limit=size + 1
            )
        return GenerationPage(found[:size], has_more=len(found) > size)

    async def roll_back(self, request: api.RollbackLocationRequest) -> LocationView:
        """Make the settings of an earlier generation the wanted ones, as a new generation; of a removed location, too.

        Raises:
            NotFoundError: There is no such location, or no such generation is kept.
        """
        refuse(rules.roll_back(request))
        key = LocationKey(request.deployment or DEFAULT, request.name)
        async with self._core.database.read() as tx:
            goal = await _goal(tx, await _existing(tx, key), generation=request.generation)
        again = api.ApplyLocationRequest(
            deployment=key.deployment,
            settings=api.LocationSettings.FromString(goal.settings),
            # A generation of its own, also where the settings are those of now: somebody wants that code imported.
            reload=True,
            requested_by=request.requested_by,
        )
        if goal.code_version is not None:
            again.code_version.MergeFromString(goal.code_version)
        return await self._locations.apply(again)


async def _existing(tx: Transaction, key: LocationKey) -> Location:
    found = await locations.get(tx, deployment=key.deployment, name=key.name)
    if found is None:
        raise await no_such_location(tx, key)
    return found


async def _goal(tx: Transaction, location: Location, *, generation: int) -> LocationGeneration:
    deployment, name = location.deployment, location.name
    if generation:
        found = await locations.history(tx, deployment=deployment, name=name, before=generation + 1, limit=1)
        if found and found[0].generation == generation:
            return found[0]
        remedy = f"Those that are kept: isthmus location history {name}"
        raise NotFoundError("generation", name=f"{name}@{generation}", deployment=deployment, remedy=remedy)
    wanted, *earlier = await locations.history(tx, deployment=deployment, name=name, limit=_LOOK_BACK)
    other = next(
        (it for it in earlier if (it.settings, it.code_version) != (wanted.settings, wanted.code_version)), None
    )
    if other is None:
        remedy = _NO_OTHER.replace("NAME", name)
        raise NotFoundError("earlier generation of", name=name, deployment=deployment, remedy=remedy)
    return other
