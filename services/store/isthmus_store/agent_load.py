"""How many runs agents have: what was given to them, and has not ended."""

from typing import Final

from sqlalchemy import func, select

from isthmus_store.table.fleet import AGENTS
from isthmus_store.table.run import RUNS
from isthmus_store.transaction import Transaction


async def under_way(tx: Transaction) -> dict[tuple[str, str], int]:
    """Count the runs of each agent that has some, by deployment and name."""
    return {(row.deployment, row.agent): row.runs for row in await tx.execute(_UNDER_WAY)}


_IS_UNDER_WAY: Final = (RUNS.c.dispatched_at.is_not(None), RUNS.c.ended_at.is_(None))
_UNDER_WAY: Final = (
    select(RUNS.c.deployment, RUNS.c.agent, func.count().label("runs"))
    .where(*_IS_UNDER_WAY)
    .group_by(RUNS.c.deployment, RUNS.c.agent)
)
#: The runs of one agent, as a part of a statement over agents.
RUNS_OF_AGENT: Final = (
    select(func.count())
    .select_from(RUNS)
    .where(RUNS.c.deployment == AGENTS.c.deployment, RUNS.c.agent == AGENTS.c.name, *_IS_UNDER_WAY)
    .correlate(AGENTS)
    .scalar_subquery()
)
