"""Where a location is served: the location with its placements and the agents of its pool, in one statement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, Table, and_, bindparam, case, exists, literal, or_, select

from isthmus_store.agent_load import RUNS_OF_AGENT
from isthmus_store.record.agent import Agent
from isthmus_store.record.location import Location, Placement
from isthmus_store.table.fleet import AGENTS, LOCATIONS, PLACEMENTS
from isthmus_store.transaction import Transaction


@dataclass(frozen=True)
class Site:
    """One location's surroundings at one moment."""

    location: Location
    #: Those of the location's pool, and those that it is placed on.
    agents: tuple[Agent, ...]
    placements: tuple[Placement, ...]
    #: How many runs each agent has that holds the location, by its name; 0 where no other agent holds it.
    loads: Mapping[str, int] = field(default_factory=dict)


async def get(tx: Transaction, *, deployment: str, location: str) -> Site | None:
    """Return the surroundings of a location; None when there is no such location, or it was removed."""
    rows = (await tx.execute(_STATEMENT, {"b_deployment": deployment, "b_location": location})).all()
    if not rows:
        return None
    return Site(
        location=Location(**_part(rows[0], LOCATIONS)),
        agents=tuple(Agent(**part) for row in rows if (part := _part(row, AGENTS))["name"] is not None),
        placements=tuple(Placement(**part) for row in rows if (part := _part(row, PLACEMENTS))["agent"] is not None),
        loads={row.agents_name: row.runs for row in rows if row.runs},
    )


def _part(row: Row[Any], table: Table) -> dict[str, Any]:
    """Return what a joined row holds of one table, by the table's own names."""
    start = _STARTS[table.name]
    return dict(zip((column.name for column in table.c), row[start : start + len(table.c)], strict=True))


_TABLES: Final = (LOCATIONS, AGENTS, PLACEMENTS)
_STARTS: Final = {table.name: sum(len(before.c) for before in _TABLES[:index]) for index, table in enumerate(_TABLES)}
_IS_PLACED: Final = and_(
    PLACEMENTS.c.deployment == LOCATIONS.c.deployment,
    PLACEMENTS.c.location == LOCATIONS.c.name,
    PLACEMENTS.c.agent == AGENTS.c.name,
)
_OTHERS: Final = PLACEMENTS.alias("others")
_IS_ELSEWHERE_TOO: Final = exists().where(
    _OTHERS.c.deployment == PLACEMENTS.c.deployment,
    _OTHERS.c.location == PLACEMENTS.c.location,
    _OTHERS.c.agent != PLACEMENTS.c.agent,
)
#: Counted only where it is to be chosen between agents.
_RUNS: Final = case((_IS_ELSEWHERE_TOO, RUNS_OF_AGENT), else_=literal(0))
_STATEMENT: Final = (
    select(
        *(column.label(f"{table.name}_{column.name}") for table in _TABLES for column in table.c), _RUNS.label("runs")
    )
    .select_from(
        LOCATIONS.outerjoin(AGENTS, AGENTS.c.deployment == LOCATIONS.c.deployment).outerjoin(PLACEMENTS, _IS_PLACED)
    )
    .where(
        LOCATIONS.c.deployment == bindparam("b_deployment"),
        LOCATIONS.c.name == bindparam("b_location"),
        LOCATIONS.c.removed_at.is_(None),
        or_(AGENTS.c.name.is_(None), AGENTS.c.pool == LOCATIONS.c.pool, PLACEMENTS.c.agent.is_not(None)),
    )
    .order_by(AGENTS.c.name)
)
