"""Placements: which agents are to hold a location, and what they report of it.

The control plane adds and deletes rows; the monitor changes those that are there. A report about a location that is not
placed on its agent (any more) changes nothing.
"""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, select, update

from isthmus_store.record.location import Placement, PlacementReport
from isthmus_store.state import LocationPhase
from isthmus_store.table.fleet import PLACEMENTS
from isthmus_store.transaction import Transaction, WriteTransaction

#: Phases in which a report tells what the location defines.
_SERVED = frozenset({LocationPhase.SERVING, LocationPhase.ASLEEP})


async def place(tx: WriteTransaction, *, deployment: str, location: str, agent: str, at: datetime) -> Placement:
    """Place the location on the agent. One that is placed there already stays as it is."""
    insertion = tx.insert(PLACEMENTS).values(
        deployment=deployment,
        location=location,
        agent=agent,
        placed_at=at,
        generation=0,
        phase=LocationPhase.PENDING,
        serving_generation=0,
        failure=b"",
        snapshot_hash="",
        framework="",
        python_version="",
    )
    await tx.execute(insertion.on_conflict_do_nothing())
    return (await tx.all(Placement, select(PLACEMENTS).where(_is(deployment, location, agent))))[0]


async def unplace(tx: WriteTransaction, *, deployment: str, location: str, agent: str | None = None) -> int:
    """Take the location from the agent, or from all of them. Returns how many placements went."""
    condition = and_(PLACEMENTS.c.deployment == deployment, PLACEMENTS.c.location == location)
    if agent is not None:
        condition = _is(deployment, location, agent)
    return (await tx.execute(delete(PLACEMENTS).where(condition))).rowcount


async def get(
    tx: Transaction, *, deployment: str, location: str, agent: str, for_update: bool = False
) -> Placement | None:
    """Return the placement, or None."""
    statement = select(PLACEMENTS).where(_is(deployment, location, agent))
    if for_update:
        statement = statement.with_for_update()
    return await tx.first(Placement, statement)


async def all_of(
    tx: Transaction, *, deployment: str | None = None, location: str | None = None, agent: str | None = None
) -> list[Placement]:
    """Return the placements that match what is given, by deployment, location and agent."""
    table = PLACEMENTS
    statement = select(table).order_by(table.c.deployment, table.c.location, table.c.agent)
    wanted = {"deployment": deployment, "location": location, "agent": agent}
    for name, value in wanted.items():
        if value is not None:
            statement = statement.where(table.c[name] == value)
    return await tx.all(Placement, statement)


async def save(tx: WriteTransaction, placement: Placement) -> None:
    """Write a placement's report fields."""
    values = {
        "generation": placement.generation,
        "phase": placement.phase,
        "serving_generation": placement.serving_generation,
        "failure": placement.failure,
        "snapshot_hash": placement.snapshot_hash,
        "framework": placement.framework,
        "python_version": placement.python_version,
        "reported_at": placement.reported_at,
        "progress": placement.progress,
    }
    condition = _is(placement.deployment, placement.location, placement.agent)
    await tx.execute(update(PLACEMENTS).where(condition).values(values))


def reported(placement: Placement, report: PlacementReport) -> Placement:
    """Return the placement after a report. Pure.

    A report about an older generation than one that was reported on tells only what serves: while generation 4 fails to
    load, a restart of generation 3 must not hide that. What served last keeps its snapshot and framework until the
    next one serves.
    """
    seen = replace(placement, serving_generation=report.serving_generation, reported_at=report.reported_at)
    if report.phase in _SERVED:
        seen = replace(
            seen,
            snapshot_hash=report.snapshot_hash,
            framework=report.framework,
            python_version=report.python_version,
        )
    if report.generation < placement.generation:
        return seen
    return replace(
        seen,
        generation=report.generation,
        phase=report.phase,
        failure=report.failure,
        progress=report.progress,
    )


def _is(deployment: str, location: str, agent: str) -> ColumnElement[bool]:
    table = PLACEMENTS
    return and_(table.c.deployment == deployment, table.c.location == location, table.c.agent == agent)
