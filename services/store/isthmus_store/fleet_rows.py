"""Agents, locations and placements as one picture: read in one statement, since every look at the queue asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import CompoundSelect, Row, Select, Table, bindparam, cast, literal_column, null, select, union_all

from isthmus_store.record.agent import Agent
from isthmus_store.record.location import Location, Placement
from isthmus_store.table.fleet import AGENTS, LOCATIONS, PLACEMENTS
from isthmus_store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class FleetRows:
    """All rows of one moment, by name; locations that were removed are left out."""

    agents: tuple[Agent, ...]
    locations: tuple[Location, ...]
    placements: tuple[Placement, ...]


async def read(tx: Transaction, *, deployment: str | None = None) -> FleetRows:
    """Return the rows of a deployment, or of all."""
    statement, parameters = (_ALL, {}) if deployment is None else (_OF_ONE, {"b_deployment": deployment})
    parts: dict[str, list[dict[str, Any]]] = {table.name: [] for table in _TABLES}
    for row in await tx.execute(statement, parameters):
        parts[row[0]].append(_part(row, row[0]))
    agents = sorted((Agent(**it) for it in parts[AGENTS.name]), key=lambda it: (it.deployment, it.name))
    locations = sorted((Location(**it) for it in parts[LOCATIONS.name]), key=lambda it: (it.deployment, it.name))
    placed = (Placement(**it) for it in parts[PLACEMENTS.name])
    placements = sorted(placed, key=lambda it: (it.deployment, it.location, it.agent))
    return FleetRows(tuple(agents), tuple(locations), tuple(placements))


def _part(row: Row[Any], table: str) -> dict[str, Any]:
    """Return what a row holds of its own table; the columns of the others are empty in it."""
    start, names = _PLACES[table]
    return dict(zip(names, row[start : start + len(names)], strict=True))


_TABLES: Final = (AGENTS, LOCATIONS, PLACEMENTS)
#: Where the columns of each table begin in a row, behind the table's name, and what they are called.
_PLACES: Final[dict[str, tuple[int, Sequence[str]]]] = {
    table.name: (1 + sum(len(before.c) for before in _TABLES[:index]), [column.name for column in table.c])
    for index, table in enumerate(_TABLES)
}


def _rows(own: Table) -> Select[Any]:
    """Select one table's rows, as wide as all tables together."""
    columns = [
        (column if table is own else cast(null(), column.type)).label(f"{table.name}_{column.name}")
        for table in _TABLES
        for column in table.c
    ]
    rows = select(literal_column(f"'{own.name}'").label("of"), *columns)
    return rows.where(LOCATIONS.c.removed_at.is_(None)) if own is LOCATIONS else rows


def _together(*, is_of_one: bool) -> CompoundSelect[Any]:
    rows = [(_rows(table), table.c.deployment) for table in _TABLES]
    if not is_of_one:
        return union_all(*(select_ for select_, _ in rows))
    return union_all(*(select_.where(deployment == bindparam("b_deployment")) for select_, deployment in rows))


_ALL: Final = _together(is_of_one=False)
_OF_ONE: Final = _together(is_of_one=True)
