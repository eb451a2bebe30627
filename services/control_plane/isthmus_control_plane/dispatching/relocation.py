"""Places launches elsewhere that went to an agent which is gone, and which nobody was seen to begin.

The run goes on to its next attempt, at an agent that serves its location now. The earlier attempt is fenced twice: what
is told of it counts no more, and its agent, should it come back, is told to end it, ahead of all launches that wait there;
an agent that is told so before the launch starts nothing.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1.instruction_pb2 import Instruction, RunRequest
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_store import outbox, pauses, runs
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.agent import Agent
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, RunState
from isthmus_store.termination import terminate
from isthmus_store.transaction import WriteTransaction

from isthmus_control_plane import clock
from isthmus_control_plane.commands.succession import Successor, succeed
from isthmus_control_plane.core import Core
from isthmus_control_plane.dispatching import queue
from isthmus_control_plane.dispatching.block import PauseKey, View
from isthmus_control_plane.dispatching.ledger import paused_agents
from isthmus_control_plane.dispatching.lifetime import launch_lifetime
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.world import World
from isthmus_control_plane.key import AgentKey, LocationKey

log = get_logger(__name__)

#: What such agents have in their queues nobody takes until they come back.
GONE: Final = frozenset({AgentState.LOST, AgentState.STOPPED})
#: So many launches are placed elsewhere in one transaction.
_PORTION: Final = 50


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is decided on."""

    seen: World
    view: View
    #: What agents were given, and what is not among the runs that were counted for `seen`.
    given: Counter[AgentKey]

    def new_home(self, place: LocationKey, run_id: str, *, instead_of: AgentKey) -> AgentKey | None:
        """Return the agent that a run goes to now; None where none serves, or something is paused that it needs."""
        if self.view.standing(place):
            return None
        agents = [self.view.fleet.agents[it] for it in self.view.takers(place) if it != instead_of]
        if not agents:
            return None
        home = queue.least_loaded(agents, turn=run_id, given=self.given).key
        self.given[home] += 1
        return home


class Relocation:
    """Looks for agents that are gone with launches that nobody began. Every control plane does; each is placed once."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._agents = Boundary("agent that is gone", passes=(TransientStoreError,))
        self._launches = Boundary("launch to place elsewhere", passes=(TransientStoreError,))

    async def step(self) -> None:
        """Place elsewhere what can be placed now."""
        async with self._core.database.read() as tx:
            seen = await world.read(tx, memory=world.SyncMemory(), at=clock.now())
            gone = [agent for agent in seen.agents.values() if agent.state in GONE]
            if not gone:
                return
            paused = {PauseKey(it.deployment, it.kind, it.name): it for it in await pauses.all_of(tx)}
        view = View(seen.fleet.with_paused(paused_agents(paused)), pauses=paused)
        sight = _Sight(seen, view, self._core.tally.since(seen.read_at))
        for agent in gone:
            with self._agents.guard(deployment=agent.deployment, agent=agent.name):
                await self._place_all(agent, sight=sight)

    async def _place_all(self, agent: Agent, *, sight: _Sight) -> None:
        position, is_over = 0, False
        while not is_over:  # pauses: each round reads the rows behind those of the last
            async with self._core.database.read() as tx:
                rows = await outbox.open_launches(
                    tx, deployment=agent.deployment, agent=agent.name, after_position=position, limit=_PORTION
                )
            is_over = len(rows) < _PORTION
            moved = await self._place_some(rows, sight=sight) if rows else []
            for run in moved:
                self._core.hub.run_changed(run.run_id)
            if moved:
                self._core.hub.outbox.ring()
            position = rows[-1].position if rows else position

    async def _place_some(self, rows: list[OutboxInstruction], *, sight: _Sight) -> list[Run]:
        wanted = [(row, request) for row in rows if (request := _request(row)) is not None]
        homes = {
            row.id: sight.new_home(_place(row, request), row.run_id, instead_of=_agent(row)) for row, request in wanted
        }
        movable = [(row, request, home) for row, request in wanted if (home := homes[row.id]) is not None]
        moved: list[Run] = []
        if not movable:
            return moved
        at = clock.now()
        async with self._core.database.write() as tx:
            for row, request, home in movable:
                with self._launches.guard(command=row.id, run=row.run_id):
                    async with tx.part():
                        moved += await self._place(tx, row, request=request, agent=sight.seen.agents[home], at=at)
        return moved

    async def _place(
        self, tx: WriteTransaction, row: OutboxInstruction, *, request: RunRequest, agent: Agent, at: datetime
    ) -> list[Run]:
        run = (await runs.lock(tx, [row.run_id])).get(row.run_id)
        if run is None or not is_movable(run, attempt=row.attempt):
            return []
        earlier, home = run.ref, AgentKey(agent.deployment, agent.name)
        # At the least as long as it was given before: that counts what its location's import may take.
        least_s = max(self._core.settings.launch_timeout_s, (row.not_after - row.created_at).total_seconds())
        lifetime = launch_lifetime(None, agents=[agent], launch_timeout_s=least_s)
        succession = await succeed(tx, row, by=Successor(request, home, lifetime), at=at)
        if succession is None:
            return []
        fence = terminate(row.deployment, row.agent, attempt=earlier, grace_s=0.0, at=at)
        await outbox.add_many(tx, [fence, succession.launch])
        log.warning("launch_placed_elsewhere", run=row.run_id, attempt=succession.run.attempt, agent=agent.name)
        return [succession.run]


def is_movable(run: Run, *, attempt: int) -> bool:
    """Tell whether a launch may be given to another agent: it is still the one that counts, and nobody began it."""
    return run.state is RunState.DISPATCHED and run.attempt == attempt and run.accepted_at is None


def _request(row: OutboxInstruction) -> RunRequest | None:
    try:
        return Instruction.FromString(row.body).launch_run.request
    except DecodeError:
        # It ends at its deadline.
        return None


def _place(row: OutboxInstruction, request: RunRequest) -> LocationKey:
    return LocationKey(row.deployment, request.location)


def _agent(row: OutboxInstruction) -> AgentKey:
    return AgentKey(row.deployment, row.agent)
