"""Keeps branch deployments while this control plane leads: who serves them, when they are over, and that nothing of them is left."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, assert_never

from isthmus_broker import declaring
from isthmus_broker.link import LINK_ERRORS
from isthmus_broker.notices import NoticePublisher
from isthmus_lifecycle.boundary import Boundary, keep_going_until
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, backfills, branches, outbox, runs
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.record.agent import Agent, NewAgent
from isthmus_store.record.branch import Branch
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.branching.deletion import begin_deletion
from isthmus_control_plane.branching.plan import EndRuns, Expire, Join, Leave, Release, Remove, Seen, Step, plan
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching.ending import ask_for_end
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.telling import tell_monitors
from isthmus_control_plane.key import AgentKey
from isthmus_control_plane.leadership.leader import Leadership

log = get_logger(__name__)

#: Who deletes what nobody else does.
EXPIRY: Final = "its expiry"
#: How many runs are asked to end at a look.
_RUNS_AT_ONCE: Final = 100
#: How many rows go in one transaction, and how long others may write before the next, seconds.
_ROWS_AT_ONCE: Final = 500
_BREATH_S: Final = 0.05


class BranchKeeper:
    """Carries out what is due about branch deployments, each by itself.

    A deletion goes on where it was from the rows, whoever leads: runs end, agents let go and say so, queues go, then rows.
    """

    def __init__(
        self, core: Core, *, leadership: Leadership, memory: world.SyncMemory, notices: NoticePublisher
    ) -> None:
        self._core = core
        self._leadership = leadership
        self._memory = memory
        self._notices = notices
        self._boundary = Boundary("branch", passes=(LeaseLostError, TransientStoreError))

    async def run(self) -> None:
        """Work until the hub stops."""
        await keep_going_until(self._core.hub.stopping, step=self._turn, name="branches")

    async def _turn(self) -> None:
        await self._leadership.do(self.step, loop="branches", otherwise=None)
        await self._core.hub.branches.wait(at_most_s=self._core.settings.sweep_interval_s)

    async def step(self) -> None:
        """Do all that is due now."""
        async with self._core.database.read() as tx:
            known = await branches.all_of(tx)
            seen = await read(tx, known) if known else Seen((), {}, {})
        for step in plan(seen, at=clock.now()):
            with self._boundary.guard(branch=step.branch.deployment, step=type(step).__name__):
                try:
                    await self._carry_out(step, seen=seen)
                except LINK_ERRORS as error:
                    # Nothing is done by half that the next look would not do whole.
                    log.warning("branch_waits_for_broker", branch=step.branch.deployment, error=str(error))

    async def _carry_out(self, step: Step, *, seen: Seen) -> None:
        match step:
            case Expire():
                await self._expire(step.branch)
            case Join():
                await self._join(step.branch, step.agent)
            case Leave():
                await self._leave(step.branch, step.agent)
            case EndRuns():
                await self._end_runs(step.branch)
            case Release():
                await self._release(step.branch, seen=seen)
            case Remove():
                await self._remove(step.branch, seen=seen)
            case _:
                assert_never(step)

    async def _expire(self, branch: Branch) -> None:
        async with self._fleet() as tx:
            await begin_deletion(tx, branch, by=EXPIRY, memory=self._memory, at=clock.now())
        log.info("branch_expired", branch=branch.deployment)
        self._core.hub.branches.ring()
        self._core.hub.outbox.ring()
        self._core.hub.fleet_changed()

    async def _join(self, branch: Branch, agent: Agent) -> None:
        """Let an agent serve a branch: its queues first, so that it finds them, then its row, then word to it."""
        await declaring.declare_agent(self._core.broker, deployment=branch.deployment, agent=agent.name)
        new = NewAgent(
            deployment=branch.deployment,
            name=agent.name,
            pool=agent.pool,
            broker_user=agent.broker_user,
            code_server_broker_user=agent.code_server_broker_user,
            created_at=clock.now(),
        )
        async with self._fleet() as tx:
            now_known = await branches.get(tx, parent=branch.parent, name=branch.name)
            if now_known is None or now_known.deleting_at is not None:
                return
            await agents.insert(tx, new)
            await world.have_told(tx, AgentKey(branch.parent, agent.name), memory=self._memory)
        log.info("branch_joined", branch=branch.deployment, agent=agent.name)
        await tell_monitors(self._notices, AgentKey(branch.deployment, agent.name))
        self._core.hub.fleet_changed()

    async def _leave(self, branch: Branch, agent: Agent) -> None:
        """Forget an agent whose parent's is gone; its runs are ended first, by the monitor that misses it."""
        async with self._core.database.read() as tx:
            if await runs.active(tx, deployment=branch.deployment, agent=agent.name):
                return
        await self._forget(branch, agent)

    async def _end_runs(self, branch: Branch) -> None:
        async with self._core.database.read() as tx:
            living = await branches.runs_to_end(tx, branch.deployment, limit=_RUNS_AT_ONCE)
        for run_id in living:
            async with self._leadership.write() as tx:
                await ask_for_end(tx, run_id, by=branch.deleted_by, at=clock.now())
            self._core.hub.run_changed(run_id)
        self._core.hub.outbox.ring()

    async def _release(self, branch: Branch, *, seen: Seen) -> None:
        async with self._fleet() as tx:
            if await branches.count_living_runs(tx, branch.deployment) or branch.deployment in await _backfilled(tx):
                return
            await branches.release(tx, branch.deployment, at=clock.now())
            for agent in seen.serving(branch):
                await world.have_told(tx, AgentKey(branch.parent, agent.name), memory=self._memory)
        self._core.hub.fleet_changed()

    async def _remove(self, branch: Branch, *, seen: Seen) -> None:
        for agent in seen.serving(branch):
            await self._forget(branch, agent)
        has_more = True
        while has_more and not self._core.hub.stopping.is_set():
            async with self._leadership.write() as tx:
                has_more = await branches.remove_rows(tx, branch.deployment, rows=_ROWS_AT_ONCE)
            await asyncio.sleep(_BREATH_S)
        if not has_more:
            log.info("branch_deleted", branch=branch.deployment, by=branch.deleted_by)

    async def _forget(self, branch: Branch, agent: Agent) -> None:
        key = AgentKey(branch.deployment, agent.name)
        await declaring.remove_agent(self._core.broker, deployment=key.deployment, agent=key.name)
        async with self._fleet() as tx:
            await outbox.drop_agent(tx, deployment=key.deployment, agent=key.name, at=clock.now())
            await agents.remove(tx, deployment=key.deployment, name=key.name)
        self._memory.told_at.pop(key, None)
        log.info("branch_left", branch=branch.deployment, agent=agent.name)
        self._core.hub.fleet_changed()

    @asynccontextmanager
    async def _fleet(self) -> AsyncIterator[WriteTransaction]:
        """Open a transaction that changes the fleet, as `Core.change_fleet` does, and that only the leader may write."""
        async with self._leadership.write() as tx:
            await tx.exclusive("fleet")
            yield tx


async def read(tx: Transaction, known: Sequence[Branch]) -> Seen:
    """Read what decides about branches."""
    there = {AgentKey(it.deployment, it.name): it for it in await agents.all_of(tx)}
    deleted = [it.deployment for it in known if it.deleting_at is not None]
    living = {it: await branches.count_living_runs(tx, it) for it in deleted}
    return Seen(known, there, living, await _backfilled(tx) if deleted else frozenset())


async def _backfilled(tx: Transaction) -> frozenset[str]:
    return frozenset(it.deployment for it in await backfills.unfinished(tx))
