"""What runs and steps take of the queue's limits, counted in one statement: a look asks for it twice."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Integer, String, literal_column, select, union_all

from isthmus_store.record.queue import ClaimingLine, Held, OnTheWay, PoolUse
from isthmus_store.run_queue import HELD, ON_THE_WAY
from isthmus_store.slot_claims import CLAIMING_LINES, USES
from isthmus_store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class QueueCount:
    """What is taken at one moment."""

    held: tuple[Held, ...]
    claiming: tuple[ClaimingLine, ...]
    uses: tuple[PoolUse, ...]
    on_the_way: tuple[OnTheWay, ...]


async def read(tx: Transaction, deployments: Collection[str]) -> QueueCount:
    """Count what is taken; of the launches that are on their way, those of these deployments."""
    held, claiming, uses, on_the_way = list[Held](), list[ClaimingLine](), list[PoolUse](), list[OnTheWay]()
    rows: list[tuple[Any, ...]] = [tuple(it) for it in await tx.execute(_COUNT, {"b_deployments": sorted(deployments)})]
    for what, name, other, count, more, agent in rows:
        match what:
            case "held":
                held.append(Held(line=name, run_id=other, held=count))
            case "claiming":
                claiming.append(ClaimingLine(line=name, claiming=count))
            case "use":
                uses.append(PoolUse(deployment=name, pool=other, granted=count, waiting=int(more)))
            case _:
                on_the_way.append(OnTheWay(deployment=name, location=other, agent=agent, runs=count))
    return QueueCount(tuple(held), tuple(claiming), tuple(uses), tuple(on_the_way))


_held, _claiming, _uses, _way = (it.subquery() for it in (HELD, CLAIMING_LINES, USES, ON_THE_WAY))
_NOTHING: Final = literal_column("0", Integer)
_NOBODY: Final = literal_column("''", String)
_COUNT: Final = union_all(
    select(literal_column("'held'"), _held.c.line, _held.c.run_id, _held.c.held, _NOTHING, _NOBODY),
    select(literal_column("'claiming'"), _claiming.c.line, _NOBODY, _claiming.c.claiming, _NOTHING, _NOBODY),
    select(literal_column("'use'"), _uses.c.deployment, _uses.c.pool, _uses.c.granted, _uses.c.waiting, _NOBODY),
    select(literal_column("'way'"), _way.c.deployment, _way.c.location, _way.c.runs, _NOTHING, _way.c.agent),
)
