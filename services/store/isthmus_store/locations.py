"""Locations: the wanted generation of each, and the history of its generations."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, select, update

from isthmus_store.record.location import Location, LocationGeneration, WantedLocation
from isthmus_store.table.fleet import LOCATION_GENERATIONS, LOCATIONS
from isthmus_store.transaction import Transaction, WriteTransaction


async def apply(tx: WriteTransaction, wanted: WantedLocation, *, at: datetime, reload: bool = False) -> Location:
    """Make these settings the wanted ones: equal settings change nothing, others are a new generation.

    Args:
        tx: the transaction.
        wanted: which location, and its settings.
        at: when it was applied.
        reload: make a new generation even of equal settings.

    A location that was removed goes on counting where it stopped, so that agents never see a generation twice.
    """
    deployment, name, pool, settings = wanted.deployment, wanted.name, wanted.pool, wanted.settings
    known = await get(tx, deployment=deployment, name=name, for_update=True)
    if (
        known is not None
        and known.removed_at is None
        and not reload
        and (known.settings, known.pool) == (settings, pool)
    ):
        return known
    generation = 1 if known is None else known.generation + 1
    values = {"pool": pool, "generation": generation, "settings": settings, "applied_at": at, "removed_at": None}
    if known is None:
        await tx.execute(LOCATIONS.insert().values(deployment=deployment, name=name, **values))
    else:
        await tx.execute(update(LOCATIONS).where(_is(deployment, name)).values(values))
    history = {key: value for key, value in values.items() if key != "removed_at"}
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


async def history(tx: Transaction, *, deployment: str, name: str) -> list[LocationGeneration]:
    """Return the location's generations, newest first."""
    table = LOCATION_GENERATIONS
    statement = (
        select(table).where(table.c.deployment == deployment, table.c.name == name).order_by(table.c.generation.desc())
    )
    return await tx.all(LocationGeneration, statement)


def _is(deployment: str, name: str) -> ColumnElement[bool]:
    return and_(LOCATIONS.c.deployment == deployment, LOCATIONS.c.name == name)
