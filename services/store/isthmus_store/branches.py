"""Deployments for branches of the code: made, found, and taken away with all that is theirs."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Table, delete, func, select, update

from isthmus_store.record.branch import Branch
from isthmus_store.state import TERMINAL_STATES, RunState
from isthmus_store.table.catalog import SCHEMA
from isthmus_store.table.event import EVENTS
from isthmus_store.table.fleet import AGENTS, BRANCHES, SNAPSHOT_PIECES, SNAPSHOTS
from isthmus_store.table.run import REMOVED_RUNS, RUNS
from isthmus_store.transaction import Transaction, WriteTransaction


async def get(tx: Transaction, *, parent: str, name: str) -> Branch | None:
    """Return a branch deployment, or None."""
    return await tx.first(Branch, select(BRANCHES).where(BRANCHES.c.parent == parent, BRANCHES.c.name == name))


async def all_of(tx: Transaction, *, parent: str | None = None) -> list[Branch]:
    """Return the branch deployments of a deployment, or all, by name."""
    statement = select(BRANCHES).order_by(BRANCHES.c.parent, BRANCHES.c.name)
    if parent is not None:
        statement = statement.where(BRANCHES.c.parent == parent)
    return await tx.all(Branch, statement)


async def of_deployment(tx: Transaction, deployment: str) -> Branch | None:
    """Return the branch that a deployment is; None for any other deployment."""
    return await tx.first(Branch, select(BRANCHES).where(BRANCHES.c.deployment == deployment))


async def deployments(tx: Transaction) -> frozenset[str]:
    """Return which deployments are those of branches."""
    return frozenset((await tx.execute(select(BRANCHES.c.deployment))).scalars())


async def served_by(tx: Transaction, *, parent: str, agent: str) -> list[str]:
    """Return the branch deployments that an agent is to serve, by their names."""
    statement = (
        select(AGENTS.c.deployment)
        .join(BRANCHES, BRANCHES.c.deployment == AGENTS.c.deployment)
        .where(BRANCHES.c.parent == parent, AGENTS.c.name == agent, BRANCHES.c.released_at.is_(None))
        .order_by(AGENTS.c.deployment)
    )
    return list((await tx.execute(statement)).scalars())


async def save(tx: WriteTransaction, branch: Branch) -> None:
    """Make a branch deployment, or put what is said of it in the place of what was."""
    values = {column.name: getattr(branch, column.name) for column in BRANCHES.c}
    insertion = tx.insert(BRANCHES).values(values)
    await tx.execute(insertion.on_conflict_do_update(index_elements=["deployment"], set_=values))


async def begin_deletion(tx: WriteTransaction, deployment: str, *, by: str, at: datetime) -> bool:
    """Have a branch deployment deleted; returns whether that is new."""
    statement = update(BRANCHES).where(BRANCHES.c.deployment == deployment, BRANCHES.c.deleting_at.is_(None))
    return (await tx.execute(statement.values(deleting_at=at, deleted_by=by))).rowcount == 1


async def release(tx: WriteTransaction, deployment: str, *, at: datetime) -> None:
    """Have the agents of a branch deployment let go of it."""
    await tx.execute(update(BRANCHES).where(BRANCHES.c.deployment == deployment).values(released_at=at))


async def count_living_runs(tx: Transaction, deployment: str) -> int:
    """Return how many runs of a deployment have not ended, those that wait included."""
    statement = select(func.count()).where(RUNS.c.deployment == deployment, RUNS.c.state.not_in(TERMINAL_STATES))
    return int((await tx.execute(statement)).scalar_one())


async def runs_to_end(tx: Transaction, deployment: str, *, limit: int) -> list[str]:
    """Return the ids of some runs of a deployment that have not ended, and that nobody has asked to end."""
    over = (*TERMINAL_STATES, RunState.CANCELING)
    statement = (
        select(RUNS.c.run_id)
        .where(RUNS.c.deployment == deployment, RUNS.c.state.not_in(over))
        .order_by(RUNS.c.queued_at, RUNS.c.run_id)
        .limit(limit)
    )
    return list((await tx.execute(statement)).scalars())


async def remove_rows(tx: WriteTransaction, deployment: str, *, rows: int) -> bool:
    """Remove up to so many rows of a branch deployment; returns whether there may be more. Its own row goes last.

    Every table that has a column for the deployment is gone through, those that others refer to after those. What a snapshot
    consists of stays until nobody refers to the snapshot: another deployment may define the same.
    """
    left = rows
    while (run_id := await _any_run(tx, deployment)) is not None:
        left -= await _remove_part_of_run(tx, run_id, rows=left)
        if left <= 0:
            return True
    for table, is_theirs in _tables(deployment):
        key = list(table.primary_key)
        some = (await tx.execute(select(*key).where(is_theirs).limit(left))).all()
        await tx.delete_rows(table, [tuple(row) for row in some])
        left -= len(some)
        if left <= 0:
            return True
    await tx.execute(delete(BRANCHES).where(BRANCHES.c.deployment == deployment))
    return False


async def _any_run(tx: Transaction, deployment: str) -> str | None:
    statement = select(RUNS.c.run_id).where(RUNS.c.deployment == deployment).limit(1)
    return (await tx.execute(statement)).scalar_one_or_none()


async def _remove_part_of_run(tx: WriteTransaction, run_id: str, *, rows: int) -> int:
    """Remove events of a run, and, with the last of them, the run; returns how many rows that was."""
    positions = select(EVENTS.c.position).where(EVENTS.c.run_id == run_id).order_by(EVENTS.c.position).limit(rows)
    found = list((await tx.execute(positions)).scalars())
    if found:
        await tx.execute(delete(EVENTS).where(EVENTS.c.run_id == run_id, EVENTS.c.position <= found[-1]))
    if len(found) < rows:
        await tx.execute(delete(REMOVED_RUNS).where(REMOVED_RUNS.c.run_id == run_id))
        await tx.execute(delete(RUNS).where(RUNS.c.run_id == run_id))
    return len(found) + 1


def _tables(deployment: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Give the tables with rows of a deployment, each before those that it refers to, and which rows these are."""
    for table in reversed(SCHEMA.sorted_tables):
        is_theirs = _is_of(table, deployment)
        if is_theirs is not None and table not in (BRANCHES, SNAPSHOTS, SNAPSHOT_PIECES):
            yield table, is_theirs


def _is_of(table: Table, deployment: str) -> ColumnElement[bool] | None:
    """Tell which rows of a table are of a deployment, by themselves or by what they belong to; None for none."""
    if "deployment" in table.c:
        return table.c.deployment == deployment
    for key in table.foreign_keys:
        owner = key.column.table
        if "deployment" in owner.c:
            # With their owner they would all go at once, as a year's ticks of a schedule.
            return key.parent.in_(select(key.column).where(owner.c.deployment == deployment))
    return None
