"""Agents: their place at the broker and in the store."""

from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.v1 import control_plane_pb2 as api
from isthmus_broker import declaring
from isthmus_broker.link import LINK_ERRORS
from isthmus_broker.notices import NoticePublisher
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, outbox, placements, runs
from isthmus_store.record.agent import Agent, NewAgent
from isthmus_store.record.location import Placement
from isthmus_store.state import AgentState
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.commands import command
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import BrokerAwayError, NotFoundError, PreconditionError
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.telling import tell_monitors
from isthmus_control_plane.key import DEFAULT, AgentKey
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import meant

log = get_logger(__name__)

_REMEDY = "Make a place for it: isthmus agent create {name}. All agents: isthmus agent list"


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent and what it holds."""

    agent: Agent
    placements: Sequence[Placement]


class AgentDesk:
    """Creates, shows, drains and removes agents."""

    def __init__(self, core: Core, *, memory: world.SyncMemory, notices: NoticePublisher) -> None:
        self._core = core
        self._memory = memory
        self._notices = notices

    async def create(self, request: api.CreateAgentRequest) -> AgentView:
        """Declare the agent's queues, then write it down; an agent that exists takes pool and account anew.

        Raises:
            BrokerAwayError: Nothing was written: an agent without queues could be given runs that go nowhere.
        """
        refuse(rules.create_agent(request))
        key = AgentKey(request.deployment or DEFAULT, request.name)
        try:
            # What the queues hang on too: this call may be the first that finds the broker, or a new one in its place.
            await declaring.declare(self._core.broker, monitor_shards=self._core.settings.monitor_shards)
            await declaring.declare_agent(self._core.broker, deployment=key.deployment, agent=key.name)
        except LINK_ERRORS as error:
            raise BrokerAwayError(f"create agent {key.name!r}", cause=str(error) or type(error).__name__) from error
        agent = NewAgent(
            deployment=key.deployment,
            name=key.name,
            pool=request.pool or DEFAULT,
            broker_user=request.broker_user or self._core.broker.user,
            code_server_broker_user=request.code_server_broker_user,
            created_at=clock.now(),
        )
        async with self._core.database.write() as tx:
            await agents.insert(tx, agent)
            view = await _view(tx, key)
        log.info("agent_created", deployment=key.deployment, agent=key.name, pool=agent.pool)
        await tell_monitors(self._notices, key)
        self._core.hub.fleet_changed()
        return view

    async def get(self, request: api.GetAgentRequest) -> AgentView:
        """Return one agent."""
        refuse(field.place(deployment=request.deployment, name=request.name))
        async with self._core.database.read() as tx:
            return await _view(tx, AgentKey(request.deployment or DEFAULT, request.name))

    async def all_of(self, request: api.ListAgentsRequest) -> list[AgentView]:
        """Return a deployment's agents by name."""
        deployment = request.deployment or DEFAULT
        refuse(field.place(deployment=deployment, name=DEFAULT))
        async with self._core.database.read() as tx:
            rows = await agents.all_of(tx, deployment=deployment)
            held = await placements.all_of(tx, deployment=deployment)
        return [AgentView(row, [it for it in held if it.agent == row.name]) for row in rows]

    async def drain(self, request: api.DrainAgentRequest) -> AgentView:
        """Tell an agent to take no new runs, and give it none from now on."""
        refuse(field.place(deployment=request.deployment, name=request.name))
        key = AgentKey(request.deployment or DEFAULT, request.name)
        async with self._core.change_fleet() as tx:
            view = await _view(tx, key)
            if view.agent.state not in {AgentState.ONLINE, AgentState.DRAINING}:
                why = f"agent {key.name!r} is {view.agent.state.value}: only an agent that runs can be drained."
                raise PreconditionError(f"agents/{key.name}", rule="AGENT_NOT_RUNNING", why=why)
            await agents.set_state(tx, deployment=key.deployment, name=key.name, state=AgentState.DRAINING)
            await outbox.add(tx, command.drain(key, at=clock.now()))
            view = await _view(tx, key)
        log.info("agent_draining", deployment=key.deployment, agent=key.name)
        self._core.hub.outbox.ring()
        self._core.hub.fleet_changed()
        return view

    async def remove(self, request: api.RemoveAgentRequest) -> None:
        """Delete an agent and its queues; its locations move to others of the pool.

        Raises:
            PreconditionError: Runs live on it.
            BrokerAwayError: The agent is still there: call again.
        """
        refuse(field.place(deployment=request.deployment, name=request.name))
        key = AgentKey(request.deployment or DEFAULT, request.name)
        async with self._core.change_fleet() as tx:
            view = await _view(tx, key)
            await self._refuse_while_busy(tx, key)
            if view.agent.state is AgentState.ONLINE:
                # Nothing may be dispatched to it while its queues go.
                await agents.set_state(tx, deployment=key.deployment, name=key.name, state=AgentState.DRAINING)
        try:
            await declaring.remove_agent(self._core.broker, deployment=key.deployment, agent=key.name)
        except LINK_ERRORS as error:
            raise BrokerAwayError(f"remove agent {key.name!r}", cause=str(error) or type(error).__name__) from error
        async with self._core.change_fleet() as tx:
            await self._refuse_while_busy(tx, key)
            await _delete(tx, await _view(tx, key))
        self._memory.told_at.pop(key, None)
        log.info("agent_removed", deployment=key.deployment, agent=key.name)
        self._core.hub.fleet_changed()

    async def _refuse_while_busy(self, tx: WriteTransaction, key: AgentKey) -> None:
        living = await runs.active(tx, deployment=key.deployment, agent=key.name)
        if living:
            shown = ", ".join(run.run_id for run in living[:3]) + (", …" if len(living) > len(living[:3]) else "")
            why = f"{len(living)} runs live on agent {key.name!r} ({shown}): drain it and wait, or terminate them."
            raise PreconditionError(f"agents/{key.name}", rule="AGENT_HAS_RUNS", why=why)


async def _view(tx: Transaction, key: AgentKey) -> AgentView:
    agent = await agents.get(tx, deployment=key.deployment, name=key.name)
    if agent is None:
        hint = meant(key.name, known=[it.name for it in await agents.all_of(tx, deployment=key.deployment)])
        remedy = _REMEDY.format(name=key.name)
        raise NotFoundError("agent", name=key.name, deployment=key.deployment, hint=hint, remedy=remedy)
    return AgentView(agent, await placements.all_of(tx, deployment=key.deployment, agent=key.name))


async def _delete(tx: WriteTransaction, view: AgentView) -> None:
    deployment, name = view.agent.deployment, view.agent.name
    for it in view.placements:
        await placements.unplace(tx, deployment=deployment, location=it.location, agent=name)
    await outbox.drop_agent(tx, deployment=deployment, agent=name, at=clock.now())
    await agents.remove(tx, deployment=deployment, name=name)
