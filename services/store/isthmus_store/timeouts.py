"""What is known of the times of runs under way: as little of each as tells when it has taken too long."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from isthmus_store.record.run import Run
from isthmus_store.run_queue import IS_HOLDING
from isthmus_store.state import RunState
from isthmus_store.table.run import RUN_TAGS, RUNS
from isthmus_store.transaction import Transaction

#: The names of the tag that says how long a run may go on, the one that counts first.
MAX_RUNTIME_TAGS: Final = ("dagster/max_runtime", "dagster/max_runtime_seconds")


@dataclass(frozen=True, kw_only=True, slots=True)
class UnderWay:
    """A run that was dispatched and has not ended, and its moments."""

    run_id: str
    deployment: str
    attempt: int
    state: RunState
    dispatched_at: datetime
    accepted_at: datetime | None
    started_at: datetime | None
    end_asked_at: datetime | None
    #: What its tag says of how long it may go on; empty for nothing.
    max_runtime: str = ""

    @classmethod
    def of(cls, run: Run, *, max_runtime: str = "") -> "UnderWay | None":
        """Return what counts of a run; None for one that is not under way."""
        if run.dispatched_at is None or run.ended_at is not None:
            return None
        return cls(
            run_id=run.run_id,
            deployment=run.deployment,
            attempt=run.attempt,
            state=run.state,
            dispatched_at=run.dispatched_at,
            accepted_at=run.accepted_at,
            started_at=run.started_at,
            end_asked_at=run.end_asked_at,
            max_runtime=max_runtime,
        )


async def under_way(tx: Transaction) -> list[UnderWay]:
    """Return the runs that were dispatched and have not ended."""
    rows = (await tx.execute(_UNDER_WAY)).mappings().all()
    said: dict[str, dict[str, str]] = {}
    for row in await tx.execute(_TAGS) if rows else ():
        said.setdefault(row.run_id, {})[row.key] = row.value
    return [UnderWay(**row, max_runtime=_first(said.get(row["run_id"], {}))) for row in rows]


def _first(tags: dict[str, str]) -> str:
    return next((tags[key] for key in MAX_RUNTIME_TAGS if key in tags), "")


_UNDER_WAY: Final = select(
    RUNS.c.run_id,
    RUNS.c.deployment,
    RUNS.c.attempt,
    RUNS.c.state,
    RUNS.c.dispatched_at,
    RUNS.c.accepted_at,
    RUNS.c.started_at,
    RUNS.c.end_asked_at,
).where(*IS_HOLDING)
_TAGS: Final = select(RUN_TAGS.c.run_id, RUN_TAGS.c.key, RUN_TAGS.c.value).where(
    RUN_TAGS.c.key.in_(MAX_RUNTIME_TAGS), RUN_TAGS.c.run_id.in_(select(RUNS.c.run_id).where(*IS_HOLDING))
)
