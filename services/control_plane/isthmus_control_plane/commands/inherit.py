"""Hands what an agent had taken from its queue, and not begun, to the process that took over its name."""

from datetime import datetime
from typing import Final

from isthmus.v1.instruction_pb2 import Instruction
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, outbox, placements, runs
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.agent import Agent
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.signal import LaunchRefused
from isthmus_store.state import InstructionOutcome, RunReason
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.commands import settlement
from isthmus_control_plane.commands.settlement import Loss
from isthmus_control_plane.commands.succession import Successor, succeed
from isthmus_control_plane.commands.takeover import Fate, is_due, judge
from isthmus_control_plane.core import Core
from isthmus_control_plane.key import AgentKey

log = get_logger(__name__)

#: So many commands are handed on in one transaction.
_PORTION: Final = 50


class Inheritance:
    """Looks for agents that took over without the folder of the one before, and hands on what that one had taken."""

    def __init__(self, core: Core) -> None:
        self._core = core
        #: The takeovers that are dealt with: of each agent, since when it is heard from its folder.
        self._done: dict[AgentKey, datetime] = {}
        self._agents = Boundary("agent that took over", passes=(TransientStoreError,))
        self._commands = Boundary("command to hand on", passes=(TransientStoreError,))

    async def step(self) -> None:
        """Hand on what is due now."""
        at = clock.now()
        async with self._core.database.read() as tx:
            due = [agent for agent in await agents.all_of(tx) if is_due(agent, at=at)]
        for agent in due:
            key = AgentKey(agent.deployment, agent.name)
            if agent.folder_since is None or self._done.get(key) == agent.folder_since:
                continue
            with self._agents.guard(deployment=key.deployment, agent=key.name):
                await self._hand_on_all(agent, before=agent.folder_since)
            self._done[key] = agent.folder_since

    async def _hand_on_all(self, agent: Agent, *, before: datetime) -> None:
        rows = await self._hand_on_some(agent, before=before, after_position=0)
        while rows:
            self._core.hub.outbox.ring()
            for row in rows:
                self._core.hub.run_changed(row.run_id)
            rows = await self._hand_on_some(agent, before=before, after_position=rows[-1].position)

    async def _hand_on_some(self, agent: Agent, *, before: datetime, after_position: int) -> list[OutboxInstruction]:
        async with self._core.database.write() as tx:
            those = outbox.Taken(agent.deployment, agent.name, before, after_position)
            rows = await outbox.taken(tx, those, limit=_PORTION)
            for row in rows:
                with self._commands.guard(command=row.id, run=row.run_id):
                    async with tx.part():
                        await self._hand_on(tx, row)
        return rows

    async def _hand_on(self, tx: WriteTransaction, row: OutboxInstruction) -> None:
        run, at = (await runs.lock(tx, [row.run_id])).get(row.run_id), clock.now()
        match judge(row, run=run):
            case Fate.SEND_AGAIN:
                await outbox.send_again(tx, [row.id])
            case Fate.CALL_OFF:
                text = f"agent {row.agent} was replaced before it began the run"
                refusal = LaunchRefused(attempt=row.attempt, reason=RunReason.AGENT_LOST, message=text)
                await settlement.settle(tx, row, loss=Loss(InstructionOutcome.FAILED, refusal), at=at)
            case Fate.REPLACE:
                await _replace(tx, row, at=at)
            case Fate.LEAVE:
                pass


async def _replace(tx: WriteTransaction, row: OutboxInstruction, *, at: datetime) -> None:
    """Launch the next attempt of a run. Its location has to be where it was: elsewhere nobody would fence the earlier one."""
    request = Instruction.FromString(row.body).launch_run.request
    placed = await placements.get(tx, deployment=row.deployment, location=request.location, agent=row.agent)
    if placed is None:
        return
    by = Successor(request, AgentKey(row.deployment, row.agent), lifetime=row.not_after - row.created_at)
    succession = await succeed(tx, row, by=by, at=at)
    if succession is None:
        return
    await outbox.add(tx, succession.launch)
    log.warning("launch_handed_on", run=row.run_id, attempt=succession.run.attempt, agent=row.agent)
