"""Agents: created by the control plane, kept current by the monitor."""

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, select, tuple_, update

from isthmus_store.record.agent import Agent, AgentHeard, NewAgent
from isthmus_store.state import AgentState
from isthmus_store.table.fleet import AGENTS, PLACEMENTS
from isthmus_store.transaction import Transaction, WriteTransaction


async def insert(tx: WriteTransaction, agent: NewAgent) -> Agent:
    """Create an agent. One that exists keeps its state, and takes the pool and broker accounts of this call."""
    insertion = tx.insert(AGENTS).values(
        deployment=agent.deployment,
        name=agent.name,
        pool=agent.pool,
        state=AgentState.NEW,
        broker_user=agent.broker_user,
        code_server_broker_user=agent.code_server_broker_user,
        created_at=agent.created_at,
        incarnation="",
        version="",
        desired_revision=0,
        active_runs=(),
        sync_revision=0,
        synced_incarnation="",
    )
    statement = insertion.on_conflict_do_update(
        index_elements=["deployment", "name"],
        set_={name: insertion.excluded[name] for name in ("pool", "broker_user", "code_server_broker_user")},
    ).returning(AGENTS)
    return (await tx.all(Agent, statement))[0]


async def get(tx: Transaction, *, deployment: str, name: str) -> Agent | None:
    """Return the agent, or None."""
    return await tx.first(Agent, select(AGENTS).where(_is(deployment, name)))


async def get_many(tx: Transaction, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Agent]:
    """Return those of the agents that exist, by deployment and name."""
    if not keys:
        return {}
    found = await tx.all(Agent, _GET_MANY, {"b_keys": sorted(keys)})
    return {(agent.deployment, agent.name): agent for agent in found}


async def all_of(tx: Transaction, *, deployment: str | None = None) -> list[Agent]:
    """Return the agents of a deployment, or of all of them, by name."""
    statement = select(AGENTS).order_by(AGENTS.c.deployment, AGENTS.c.name)
    if deployment is not None:
        statement = statement.where(AGENTS.c.deployment == deployment)
    return await tx.all(Agent, statement)


async def remove(tx: WriteTransaction, *, deployment: str, name: str) -> bool:
    """Delete the agent and its placements. Returns whether it was there."""
    placed_here = and_(PLACEMENTS.c.deployment == deployment, PLACEMENTS.c.agent == name)
    await tx.execute(delete(PLACEMENTS).where(placed_here))
    return (await tx.execute(delete(AGENTS).where(_is(deployment, name)))).rowcount == 1


async def heard(tx: WriteTransaction, news: Iterable[AgentHeard]) -> None:
    """Write what heartbeats say; agents that do not exist are passed over."""
    rows = [
        {
            "b_deployment": it.deployment,
            "b_name": it.name,
            "state": it.state,
            "last_heard_at": it.heard_at,
            "started_at": it.started_at,
            "incarnation": it.incarnation,
            "version": it.version,
            "desired_revision": it.desired_revision,
            "active_runs": it.active_runs,
            "standbys": it.standbys,
            "former_incarnations": it.former_incarnations,
            "folder_id": it.folder_id,
            "folder_since": it.folder_since,
            "load_timeout_s": it.load_timeout_s,
            "branches": it.branches,
        }
        for it in sorted(news, key=lambda it: (it.deployment, it.name))
    ]
    if rows:
        await tx.execute(_HEARD, rows)


async def set_state(tx: WriteTransaction, *, deployment: str, name: str, state: AgentState) -> bool:
    """Set the agent's state; one that is not running has no active runs, and nothing waits on it. Returns whether the state changed."""
    values: dict[str, object] = {"state": state}
    if state is AgentState.STOPPED:
        values["active_runs"] = values["standbys"] = ()
    statement = update(AGENTS).where(_is(deployment, name), AGENTS.c.state != state).values(values)
    return (await tx.execute(statement)).rowcount == 1


async def mark_synced(tx: WriteTransaction, *, deployment: str, name: str, incarnation: str) -> None:
    """Record that SyncLocations of the current `sync_revision` was written for a life of the agent."""
    await tx.execute(update(AGENTS).where(_is(deployment, name)).values(synced_incarnation=incarnation))


#: The highest revision that an agent is believed to remember: a count of changes never comes near it, and has room above.
MAX_REVISION: Final = 2**53


async def bump_sync(tx: WriteTransaction, *, deployment: str, name: str, above: int = 0) -> int:
    """Raise the revision of what the agent should hold and return it; 0 for an agent that does not exist.

    The new revision is higher than the last one and than `above`: an agent that was removed and created again may
    remember a higher one than its new row has, up to `MAX_REVISION`.
    """
    above = min(above, MAX_REVISION)
    floor = case((AGENTS.c.sync_revision < above, above), else_=AGENTS.c.sync_revision)
    statement = update(AGENTS).where(_is(deployment, name)).values(sync_revision=floor + 1)
    return (await tx.execute(statement.returning(AGENTS.c.sync_revision))).scalar_one_or_none() or 0


def _is(deployment: str, name: str) -> ColumnElement[bool]:
    return and_(AGENTS.c.deployment == deployment, AGENTS.c.name == name)


# Built once: a statement that is built for each call costs more than the databases take to answer it.
_GET_MANY = select(AGENTS).where(tuple_(AGENTS.c.deployment, AGENTS.c.name).in_(bindparam("b_keys", expanding=True)))
_HEARD = (
    update(AGENTS)
    .where(AGENTS.c.deployment == bindparam("b_deployment"), AGENTS.c.name == bindparam("b_name"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "state",
                "last_heard_at",
                "started_at",
                "incarnation",
                "version",
                "desired_revision",
                "active_runs",
                "standbys",
                "former_incarnations",
                "folder_id",
                "folder_since",
                "load_timeout_s",
                "branches",
            )
        }
    )
)
