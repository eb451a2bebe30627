"""Locations: what is to be served, and how that fares."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import SnapshotPiece
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, branches, locations, placements, snapshots
from isthmus_store.record.agent import Agent
from isthmus_store.record.location import Location, Placement, WantedLocation
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import NotFoundError, PreconditionError, StoppingError
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.message import Surroundings
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation import request as rules
from isthmus_control_plane.validation.refusal import refuse

log = get_logger(__name__)

_SNAPSHOT_REMEDY = "The location serves something else by now: ask for it again."
#: A location is told with what it defines up to this size, bytes: below what gRPC's clients take by default.
_WHOLE_SNAPSHOT_BYTES = 2 * 1024**2
#: A piece of what a location defines, bytes.
_PIECE_BYTES = 1024**2
#: How often a watcher looks when nothing wakes it, seconds.
_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class LocationView:
    """A location, where it is held, and what it defines."""

    location: Location
    placements: Sequence[Placement]
    #: How the agents are that hold it, by name.
    surroundings: Mapping[str, Surroundings]
    #: The LocationSnapshot of the serving generation; None when none serves, in lists, and where it is large.
    snapshot: bytes | None = None
    #: Its name and size, bytes.
    snapshot_hash: str = ""
    snapshot_bytes: int = 0


class LocationDesk:
    """Applies, shows and removes locations."""

    def __init__(self, core: Core, *, memory: world.SyncMemory) -> None:
        self._core = core
        self._memory = memory

    def checked(self, request: api.ApplyLocationRequest) -> api.LocationSettings:
        """Return the settings that a request wants, with their defaults.

        Raises:
            InvalidRequestError: It cannot be applied, to whatever is there.
        """
        refuse(rules.apply_location(request))
        settings = api.LocationSettings()
        settings.CopyFrom(request.settings)
        settings.pool = settings.pool or DEFAULT
        # Said or not, one is one: it is no change of a location.
        settings.replicas = settings.replicas if settings.replicas > 1 else 0
        return settings

    async def apply(self, request: api.ApplyLocationRequest) -> LocationView:
        """Add a location or change it, place it, and tell its agents, in one transaction.

        Raises:
            PreconditionError: Its deployment is that of a branch that is being deleted.
        """
        settings = self.checked(request)
        key = LocationKey(request.deployment or DEFAULT, settings.name)
        at = clock.now()
        async with self._core.change_fleet() as tx:
            await _refuse_deleted(tx, key)
            before = await locations.get(tx, deployment=key.deployment, name=key.name)
            after = await locations.apply(
                tx,
                WantedLocation(
                    deployment=key.deployment,
                    name=key.name,
                    pool=settings.pool,
                    settings=settings.SerializeToString(deterministic=True),
                    wanted_by=request.requested_by,
                    code_version=_code_version(request),
                ),
                at=at,
                reload=request.reload,
            )
            if before is None or before.generation != after.generation:
                seen = await world.read(tx, memory=self._memory, at=at, deployment=key.deployment)
                await world.settle_fleet(tx, seen, memory=self._memory, at=at, changed=[key])
                log.info("location_applied", deployment=key.deployment, location=key.name, generation=after.generation)
            view = await _view(tx, key)
        self._core.hub.outbox.ring()
        self._core.hub.location_changed(key)
        return view

    async def get(self, request: api.GetLocationRequest) -> LocationView:
        """Return one location."""
        refuse(field.place(deployment=request.deployment, name=request.name))
        async with self._core.database.read() as tx:
            return await _view(tx, LocationKey(request.deployment or DEFAULT, request.name))

    async def all_of(self, request: api.ListLocationsRequest) -> list[LocationView]:
        """Return a deployment's locations by name, without their snapshots."""
        deployment = request.deployment or DEFAULT
        refuse(field.place(deployment=deployment, name=DEFAULT))
        async with self._core.database.read() as tx:
            rows = await locations.all_of(tx, deployment=deployment)
            held = await placements.all_of(tx, deployment=deployment)
            there = await agents.all_of(tx, deployment=deployment)
        return [
            LocationView(row, [it for it in held if it.location == row.name], _surroundings(there, row.name))
            for row in rows
        ]

    async def watch(self, request: api.WatchLocationRequest) -> AsyncGenerator[LocationView, None]:
        """Yield the location now and after each change; the last one says that it was removed."""
        refuse(field.place(deployment=request.deployment, name=request.name))
        key = LocationKey(request.deployment or DEFAULT, request.name)
        last: LocationView | None = None
        with self._core.hub.location(key) as wake:
            while not self._core.hub.is_closed:
                async with self._core.database.read() as tx:
                    view = await _view(tx, key, is_removed_shown=last is not None)
                if view != last:
                    yield view
                    last = view
                if view.location.removed_at is not None:
                    return
                await wake.wait(at_most_s=_POLL_S)
        raise StoppingError

    async def snapshot(self, request: api.GetSnapshotRequest) -> AsyncGenerator[SnapshotPiece, None]:
        """Yield what a location defines, in pieces: one of them is in memory at a time."""
        refuse(field.place(deployment=request.deployment, name=request.name))
        key, name = LocationKey(request.deployment or DEFAULT, request.name), request.snapshot_hash
        async with self._core.database.read() as tx:
            held = await placements.all_of(tx, deployment=key.deployment, location=key.name)
            is_held = name in {it.snapshot_hash for it in held}
            size = await snapshots.size(tx, name) if name and is_held else 0
        if not size:
            raise NotFoundError("snapshot", name=name, deployment=key.deployment, remedy=_SNAPSHOT_REMEDY)
        starts = range(0, size, _PIECE_BYTES)
        for index, start in enumerate(starts):
            async with self._core.database.read() as tx:
                data = await snapshots.piece(tx, name, offset=start, length=_PIECE_BYTES)
            yield SnapshotPiece(snapshot_hash=name, index=index, count=len(starts), data=data)

    async def remove(self, request: api.RemoveLocationRequest) -> None:
        """Remove a location and tell its agents; its runs go on, and those that are queued wait for it to come back."""
        refuse(field.place(deployment=request.deployment, name=request.name))
        key = LocationKey(request.deployment or DEFAULT, request.name)
        at = clock.now()
        async with self._core.change_fleet() as tx:
            if not await locations.remove(tx, deployment=key.deployment, name=key.name, at=at):
                raise await no_such_location(tx, key)
            seen = await world.read(tx, memory=self._memory, at=at, deployment=key.deployment)
            await world.settle_fleet(tx, seen, memory=self._memory, at=at)
        log.info("location_removed", deployment=key.deployment, location=key.name)
        self._core.hub.outbox.ring()
        self._core.hub.location_changed(key)


async def _refuse_deleted(tx: Transaction, key: LocationKey) -> None:
    branch = await branches.of_deployment(tx, key.deployment)
    if branch is not None and branch.deleting_at is not None:
        why = f"deployment {key.deployment!r} is being deleted."
        remedy = f"Make the branch anew once it is gone: isthmus --deployment {branch.parent} branch list"
        raise PreconditionError(f"deployments/{key.deployment}", rule="BRANCH_IS_DELETED", why=why, remedy=remedy)


async def _view(tx: Transaction, key: LocationKey, *, is_removed_shown: bool = False) -> LocationView:
    location = await locations.get(tx, deployment=key.deployment, name=key.name)
    if location is None or (location.removed_at is not None and not is_removed_shown):
        raise await no_such_location(tx, key)
    held = await placements.all_of(tx, deployment=key.deployment, location=key.name)
    serving = max(
        (it for it in held if it.serving_generation and it.snapshot_hash),
        key=lambda it: it.serving_generation,
        default=None,
    )
    name = serving.snapshot_hash if serving is not None else ""
    there = await agents.get_many(tx, {(key.deployment, it.agent) for it in held})
    size = await snapshots.size(tx, name) if name else 0
    snapshot = await snapshots.get(tx, name) if 0 < size <= _WHOLE_SNAPSHOT_BYTES else None
    return LocationView(location, held, _surroundings(there.values(), key.name), snapshot, name, size)


def _code_version(request: api.ApplyLocationRequest) -> bytes | None:
    return request.code_version.SerializeToString(deterministic=True) if request.HasField("code_version") else None


def _surroundings(there: Iterable[Agent], location: str) -> dict[str, Surroundings]:
    found = {}
    for agent in there:
        standby = next((it for it in agent.standbys if it.location == location), None)
        found[agent.name] = Surroundings(agent.state, standby)
    return found
