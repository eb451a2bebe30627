"""Agents, locations and placements: read as one picture, and changed by the decisions about it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus.v1.telemetry_pb2 import Failure
from isthmus_lifecycle.boundary import Boundary
from isthmus_store import agent_load, agents, branches, fleet_rows, outbox, pauses, placements, site
from isthmus_store.errors import TransientStoreError
from isthmus_store.record.agent import Agent
from isthmus_store.record.location import Location, Placement
from isthmus_store.record.queue import PauseKind
from isthmus_store.state import LocationPhase
from isthmus_store.transaction import Transaction, WriteTransaction

from isthmus_control_plane.commands import command
from isthmus_control_plane.fleet import facts, placement, sync
from isthmus_control_plane.fleet.facts import Fleet
from isthmus_control_plane.key import AgentKey, LocationKey

#: An agent that works towards an old set of locations is told again after this long.
_SYNC_PATIENCE: Final = timedelta(seconds=30)
#: The highest revision that an agent is believed to work towards: there is room above it for those that it is sent.
MAX_REVISION: Final = 2**62
#: A location that cannot be moved stays where it is, an agent that cannot be told waits; the others go on.
_LOCATIONS: Final = Boundary("location to place", passes=(TransientStoreError,))
_AGENTS: Final = Boundary("agent to tell", passes=(TransientStoreError,))


@dataclass(frozen=True)
class World:
    """One moment's rows, and the facts that decisions are made on."""

    fleet: Fleet
    agents: dict[AgentKey, Agent]
    locations: dict[LocationKey, Location]
    #: Of each location that is placed somewhere, by the agent's name.
    placements: dict[LocationKey, tuple[Placement, ...]]
    #: When this was begun to be read, on the clock of `LaunchTally`.
    read_at: float = 0.0

    def defining(self, key: LocationKey) -> Placement | None:
        """Return the placement that tells what a location defines: that of an agent to which its runs go.

        Where none of it serves it is one that served last, or None.
        """
        takers = {it.agent.name for it in self.fleet.takers(key)}
        held = self.placements.get(key, ())
        return max(
            held, key=lambda it: (it.agent in takers, it.serving_generation, bool(it.snapshot_hash)), default=None
        )

    def serving_hash(self, key: LocationKey) -> str:
        """Return the hash of what the location defines now; empty when nothing of it serves."""
        held = self.defining(key)
        return held.snapshot_hash if held is not None and held.serving_generation else ""


@dataclass
class SyncMemory:
    """When each agent was last told its locations by this process: it needs time to take them in."""

    told_at: dict[AgentKey, datetime] = field(default_factory=dict)

    def is_underway(self, agent: AgentKey, *, at: datetime) -> bool:
        """Tell whether the agent was told only lately."""
        told_at = self.told_at.get(agent)
        return told_at is not None and at - told_at < _SYNC_PATIENCE


@dataclass(frozen=True)
class _Rows:
    """What was read."""

    agents: Iterable[Agent]
    locations: Iterable[Location]
    placements: Iterable[Placement]
    #: How many runs agents have, where it is to be chosen between them.
    loads: Mapping[AgentKey, int]
    read_at: float


async def read(tx: Transaction, *, memory: SyncMemory, at: datetime, deployment: str | None = None) -> World:
    """Read one deployment, or all. Which agents are paused is not told: see `read_to_place`."""
    read_at, found = time.monotonic(), await fleet_rows.read(tx, deployment=deployment)
    has_choice = len({(it.deployment, it.location) for it in found.placements}) < len(found.placements)
    rows = _Rows(
        found.agents,
        found.locations,
        found.placements,
        {AgentKey(*key): runs for key, runs in (await agent_load.under_way(tx)).items()} if has_choice else {},
        read_at,
    )
    return _world(rows, is_underway=lambda agent: memory.is_underway(agent, at=at))


async def read_to_place(tx: Transaction, *, memory: SyncMemory, at: datetime) -> World:
    """Read all deployments, and which agents are paused: where locations go follows from it."""
    seen = await read(tx, memory=memory, at=at)
    paused = {AgentKey(it.deployment, it.name) for it in await pauses.all_of(tx) if it.kind is PauseKind.AGENT}
    return replace(seen, fleet=seen.fleet.with_paused(paused))


async def read_location(tx: Transaction, key: LocationKey, *, memory: SyncMemory, at: datetime) -> World:
    """Read what decides about one location alone; it is missing in the picture when it does not exist."""
    read_at, found = time.monotonic(), await site.get(tx, deployment=key.deployment, location=key.name)
    if found is None:
        return World(Fleet({}, {}), {}, {}, {}, read_at)
    loads = {AgentKey(key.deployment, name): runs for name, runs in found.loads.items()}
    rows = _Rows(found.agents, [found.location], found.placements, loads, read_at)
    return _world(rows, is_underway=lambda agent: memory.is_underway(agent, at=at))


def _world(rows: _Rows, *, is_underway: Callable[[AgentKey], bool]) -> World:
    agent_rows = {AgentKey(row.deployment, row.name): row for row in rows.agents}
    location_rows = {LocationKey(row.deployment, row.name): row for row in rows.locations}
    placement_rows: dict[LocationKey, tuple[Placement, ...]] = {}
    for row in rows.placements:
        key = LocationKey(row.deployment, row.location)
        placement_rows[key] = (*placement_rows.get(key, ()), row)
    fleet = Fleet.of(
        (
            _agent(row, is_sync_underway=is_underway(key), runs=rows.loads.get(key, 0))
            for key, row in agent_rows.items()
        ),
        locations=(
            facts.Location(key, row.pool, row.generation, replicas_of(row.settings))
            for key, row in location_rows.items()
        ),
        holdings=(_holding(row) for held in placement_rows.values() for row in held),
    )
    return World(fleet, agent_rows, location_rows, placement_rows, rows.read_at)


@lru_cache(maxsize=4096)
def replicas_of(settings: bytes) -> int:
    """Return on how many agents a location is to be, by its settings; they are read again and again, and seldom change."""
    try:
        return max(1, LocationSettings.FromString(settings).replicas)
    except DecodeError:
        # The other locations are placed all the same.
        return 1


async def settle_fleet(
    tx: WriteTransaction, world: World, *, memory: SyncMemory, at: datetime, changed: Iterable[LocationKey] = ()
) -> list[LocationKey]:
    """Move locations to where they belong, and write what agents must be told. Returns what moved.

    Args:
        tx: A transaction of `Core.change_fleet`.
        world: What the same transaction read.
        memory: Is told who was told.
        at: The time of the change.
        changed: Locations whose spec this transaction changed.
    """
    moves = placement.plan(world.fleet)
    moved: list[LocationKey] = []
    orders = sync.plan(world.fleet, moves=moves, changed=changed)
    hashes = {key: it.snapshot_hash for key in world.placements if (it := world.defining(key)) is not None}
    holders = {(key, it.agent) for key, held in world.fleet.holdings.items() for it in held}
    for move in moves:
        with _LOCATIONS.guard(deployment=move.location.deployment, location=move.location.name) as fate:
            async with tx.part():
                await _carry_out(tx, move, at=at)
        if fate.error is not None:
            continue
        moved.append(move.location)
        holders -= {(move.location, move.source)}
        holders |= {(move.location, move.target)} if move.target is not None else set()
    for order in orders:
        names = sorted(key for key, agent in holders if agent == order.agent)
        ids = {"deployment": order.agent.deployment, "agent": order.agent.name}
        with _AGENTS.guard(**ids) as fate:
            held = [command.HeldLocation(world.locations[key], hashes.get(key, "")) for key in names]
            async with tx.part():
                await _tell(tx, world.agents[order.agent], order=order, held=held, at=at)
        if fate.error is not None:
            with _AGENTS.guard(**ids):
                # It is behind now, and so it is told again after a while.
                async with tx.part():
                    await agents.bump_sync(tx, deployment=order.agent.deployment, name=order.agent.name)
        memory.told_at[order.agent] = at
    return moved


async def have_told(tx: WriteTransaction, key: AgentKey, *, memory: SyncMemory) -> None:
    """Have an agent told anew what it is to hold, with the next look at the fleet; see `Core.change_fleet`.

    One that is not heard, or does not exist, is told when it comes up.
    """
    agent = await agents.get(tx, deployment=key.deployment, name=key.name)
    if agent is not None:
        await agents.bump_sync(
            tx, deployment=key.deployment, name=key.name, above=min(agent.desired_revision, MAX_REVISION)
        )
        memory.told_at.pop(key, None)


async def _carry_out(tx: WriteTransaction, move: placement.Move, *, at: datetime) -> None:
    deployment, name = move.location
    if move.source is not None:
        await placements.unplace(tx, deployment=deployment, location=name, agent=move.source.name)
    if move.target is not None:
        await placements.place(tx, deployment=deployment, location=name, agent=move.target.name, at=at)


async def _tell(
    tx: WriteTransaction, agent: Agent, *, order: sync.Sync, held: list[command.HeldLocation], at: datetime
) -> None:
    deployment, name = order.agent
    revision = agent.sync_revision
    if order.is_new_revision:
        # Above what the agent has seen, since it ignores anything lower.
        revision = await agents.bump_sync(
            tx, deployment=deployment, name=name, above=min(agent.desired_revision, MAX_REVISION)
        )
    served = await branches.served_by(tx, parent=deployment, agent=name)
    await outbox.add(tx, command.sync(order.agent, revision=revision, held=held, branches=served, at=at))
    await agents.mark_synced(tx, deployment=deployment, name=name, incarnation=agent.incarnation)


def _agent(row: Agent, *, is_sync_underway: bool, runs: int) -> facts.Agent:
    return facts.Agent(
        key=AgentKey(row.deployment, row.name),
        pool=row.pool,
        state=row.state,
        incarnation=row.incarnation,
        synced_incarnation=row.synced_incarnation,
        sync_revision=row.sync_revision,
        reported_revision=min(row.desired_revision, MAX_REVISION),
        is_sync_underway=is_sync_underway,
        runs=runs,
    )


def _holding(row: Placement) -> facts.Holding:
    return facts.Holding(
        location=LocationKey(row.deployment, row.location),
        agent=AgentKey(row.deployment, row.agent),
        generation=row.generation,
        serving_generation=row.serving_generation,
        has_failed=row.phase is LocationPhase.FAILED,
        failure=_first_line(row.failure),
    )


def _first_line(failure: bytes) -> str:
    """Return what went wrong, for people; a report that cannot be read says so."""
    try:
        return Failure.FromString(failure).message.strip().partition("\n")[0]
    except DecodeError:
        return "the agent's report of it cannot be read"
