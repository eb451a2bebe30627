"""Agents, locations and placements: read as one picture, and changed by the decisions about it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.message import DecodeError
from isthmus.v1.telemetry_pb2 import Failure
from isthmus_lifecycle.boundary import Boundary
from isthmus_store import agents, fleet_rows, outbox, pauses, placements, site
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
    placements: dict[LocationKey, Placement]

    def serving_hash(self, key: LocationKey) -> str:
        """Return the hash of what the location defines now; empty when nothing of it serves."""
        held = self.placements.get(key)
        return held.snapshot_hash if held is not None and held.serving_generation else ""


@dataclass
class SyncMemory:
    """When each agent was last told its locations by this process: it needs time to take them in."""

    told_at: dict[AgentKey, datetime] = field(default_factory=dict)

    def is_underway(self, agent: AgentKey, *, at: datetime) -> bool:
        """Tell whether the agent was told only lately."""
        told_at = self.told_at.get(agent)
        return told_at is not None and at - told_at < _SYNC_PATIENCE


async def read(tx: Transaction, *, memory: SyncMemory, at: datetime, deployment: str | None = None) -> World:
    """Read one deployment, or all. Which agents are paused is not told: see `read_to_place`."""
    found = await fleet_rows.read(tx, deployment=deployment)
    return _world(
        found.agents,
        location_list=found.locations,
        placement_list=found.placements,
        is_underway=lambda agent: memory.is_underway(agent, at=at),
    )


async def read_to_place(tx: Transaction, *, memory: SyncMemory, at: datetime) -> World:
    """Read all deployments, and which agents are paused: where locations go follows from it."""
    seen = await read(tx, memory=memory, at=at)
    paused = {AgentKey(it.deployment, it.name) for it in await pauses.all_of(tx) if it.kind is PauseKind.AGENT}
    known = {key: replace(agent, is_paused=key in paused) for key, agent in seen.fleet.agents.items()}
    return replace(seen, fleet=replace(seen.fleet, agents=known)) if paused else seen


async def read_location(tx: Transaction, key: LocationKey, *, memory: SyncMemory, at: datetime) -> World:
    """Read what decides about one location alone; it is missing in the picture when it does not exist."""
    found = await site.get(tx, deployment=key.deployment, location=key.name)
    return _world(
        found.agents if found is not None else (),
        location_list=[found.location] if found is not None else [],
        placement_list=found.placements if found is not None else (),
        is_underway=lambda agent: memory.is_underway(agent, at=at),
    )


def _world(
    agent_list: Iterable[Agent],
    *,
    location_list: Iterable[Location],
    placement_list: Iterable[Placement],
    is_underway: Callable[[AgentKey], bool],
) -> World:
    agent_rows = {AgentKey(row.deployment, row.name): row for row in agent_list}
    location_rows = {LocationKey(row.deployment, row.name): row for row in location_list}
    placement_rows = {LocationKey(row.deployment, row.location): row for row in placement_list}
    fleet = Fleet.of(
        (_agent(row, is_sync_underway=is_underway(key)) for key, row in agent_rows.items()),
        locations=(facts.Location(key, row.pool, row.generation) for key, row in location_rows.items()),
        holdings=(_holding(row) for row in placement_rows.values()),
    )
    return World(fleet, agent_rows, location_rows, placement_rows)


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
    hashes = {key: row.snapshot_hash for key, row in world.placements.items()}
    holders = {key: holding.agent for key, holding in world.fleet.holdings.items()}
    for move in moves:
        with _LOCATIONS.guard(deployment=move.location.deployment, location=move.location.name) as fate:
            async with tx.part():
                await _carry_out(tx, move, at=at)
        if fate.error is not None:
            continue
        moved.append(move.location)
        holders.pop(move.location, None)
        if move.target is not None:
            holders[move.location] = move.target
    for order in orders:
        names = sorted(key for key, agent in holders.items() if agent == order.agent)
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
    await outbox.add(tx, command.sync(order.agent, revision=revision, held=held, at=at))
    await agents.mark_synced(tx, deployment=deployment, name=name, incarnation=agent.incarnation)


def _agent(row: Agent, *, is_sync_underway: bool) -> facts.Agent:
    return facts.Agent(
        key=AgentKey(row.deployment, row.name),
        pool=row.pool,
        state=row.state,
        incarnation=row.incarnation,
        synced_incarnation=row.synced_incarnation,
        sync_revision=row.sync_revision,
        reported_revision=min(row.desired_revision, MAX_REVISION),
        is_sync_underway=is_sync_underway,
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
