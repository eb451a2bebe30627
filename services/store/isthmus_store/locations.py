"""Locations: the wanted generation of each, and the history of its generations."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, select, update

from isthmus_store.record.location import Location, LocationGeneration, WantedLocation
from isthmus_store.table.fleet import LOCATION_GENERATIONS, LOCATIONS
from isthmus_store.transaction import Transaction, WriteTransaction


async def apply(tx: WriteTransaction, wanted: WantedLocation, *, at: datetime, reload: bool = False) -> Location:
    """Make these settings the wanted ones: equal ones of equal code change nothing, others are a new generation.

    Args:
        tx: the transaction.
        wanted: which location, and its settings.
        at: when it was applied.
        reload: make a new generation even of equal settings.

    A location that was removed goes on counting where it stopped, so that agents never see a generation twice.
    """
    deployment, name, pool, settings = wanted.deployment, wanted.name, wanted.pool, wanted.settings
    known = await get(tx, deployment=deployment, name=name, for_update=True)
    if known is not None and not reload and await _is_wanted(tx, known, wanted):
        return known
    generation = 1 if known is None else known.generation + 1
    values = {"pool": pool, "generation": generation, "settings": settings, "applied_at": at, "removed_at": None}
    if known is None:
        await tx.execute(LOCATIONS.insert().values(deployment=deployment, name=name, **values))
    else:
        await tx.execute(update(LOCATIONS).where(_is(deployment, name)).values(values))
    history = {key: value for key, value in values.items() if key != "removed_at"}
    history |= {"applied_by": wanted.wanted_by, "code_version": wanted.code_version}
    await tx.execute(LOCATION_GENERATIONS.insert().values(deployment=deployment, name=name, **history))
    return Location(
        deployment=deployment,
        name=name,
        pool=pool,
        generation=generation,
        settings=settings,
        applied_at=at,
        removed_at=None,
    )


async def get(tx: Transaction, *, deployment: str, name: str, for_update: bool = False) -> Location | None:
    """Return the location, removed or not, or None."""
    statement = select(LOCATIONS).where(_is(deployment, name))
    if for_update:
        statement = statement.with_for_update()
    return await tx.first(Location, statement)


async def all_of(tx: Transaction, *, deployment: str | None = None, with_removed: bool = False) -> list[Location]:
    """Return the locations of a deployment, or of all of them, by name."""
    statement = select(LOCATIONS).order_by(LOCATIONS.c.deployment, LOCATIONS.c.name)
    if deployment is not None:
        statement = statement.where(LOCATIONS.c.deployment == deployment)
    if not with_removed:
        statement = statement.where(LOCATIONS.c.removed_at.is_(None))
    return await tx.all(Location, statement)


async def remove(tx: WriteTransaction, *, deployment: str, name: str, at: datetime) -> bool:
    """Mark the location as removed. Returns whether it was there."""
    statement = update(LOCATIONS).where(_is(deployment, name), LOCATIONS.c.removed_at.is_(None)).values(removed_at=at)
    return (await tx.execute(statement)).rowcount == 1


async def history(
    tx: Transaction, *, deployment: str, name: str, before: int | None = None, limit: int = 200
) -> list[LocationGeneration]:
    """Return some of a location's generations, newest first; those before one, if that is given."""
    table = LOCATION_GENERATIONS
    statement = select(table).where(table.c.deployment == deployment, table.c.name == name)
    if before is not None:
        statement = statement.where(table.c.generation < before)
    return await tx.all(LocationGeneration, statement.order_by(table.c.generation.desc()).limit(limit))


async def _is_wanted(tx: Transaction, known: Location, wanted: WantedLocation) -> bool:
    if known.removed_at is not None or (known.settings, known.pool) != (wanted.settings, wanted.pool):
        return False
    if wanted.code_version is None:
        return True
    before = known.generation + 1
    newest = await history(tx, deployment=known.deployment, name=known.name, before=before, limit=1)
    return bool(newest) and newest[0].code_version == wanted.code_version


def _is(deployment: str, name: str) -> ColumnElement[bool]:
    return and_(LOCATIONS.c.deployment == deployment, LOCATIONS.c.name == name)
