"""Plans backfills by what locations define now, and the partitions that there are now."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from isthmus.v1.control_plane_pb2 import CreateBackfillRequest
from isthmus.v1.telemetry_pb2 import PartitionsSnapshot
from isthmus_store import dynamic_partitions
from isthmus_store.transaction import Transaction

from isthmus_control_plane.backfills.keys import UncountableError, dynamic_names, keys_of
from isthmus_control_plane.backfills.target import KeysOf, Plan, of_assets, of_job
from isthmus_control_plane.catalog.merging import CatalogMemory
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import InvalidRequestError, LocationUnavailableError, Violation
from isthmus_control_plane.fleet import world
from isthmus_control_plane.fleet.lookup import no_such_location
from isthmus_control_plane.key import DEFAULT, LocationKey
from isthmus_control_plane.validation.asset_query import AssetQueryError, select
from isthmus_control_plane.validation.backfill import MAX_DEPENDENT_RUNS, MAX_PARTITIONS
from isthmus_control_plane.validation.definition import AssetPath, Definitions
from isthmus_control_plane.validation.merged import CatalogAsset
from isthmus_control_plane.validation.refusal import refuse
from isthmus_control_plane.validation.suggestion import unknown


@dataclass(frozen=True, slots=True)
class Defined:
    """What a deployment's locations define; of one that does not serve now, as it did last."""

    locations: Mapping[str, Definitions]
    assets: Mapping[AssetPath, CatalogAsset]


class Planner:
    """Plans backfills, for who asks for them and for who looks ahead."""

    def __init__(self, core: Core, *, memory: world.SyncMemory, catalogs: CatalogMemory) -> None:
        self._core = core
        self._memory = memory
        self._catalogs = catalogs

    async def plan(self, tx: Transaction, request: CreateBackfillRequest, *, at: datetime) -> Plan:
        """Plan what a well-formed request means.

        Raises:
            InvalidRequestError: It means nothing that can be made.
            LocationUnavailableError: Nobody knows yet what the location defines.
            NotFoundError: There is no such location.
        """
        deployment = request.deployment or DEFAULT
        if request.job_name:
            definitions = await self._definitions(tx, LocationKey(deployment, request.location), at=at)
            job = definitions.jobs.get(request.job_name)
            told = [job.partitions_told] if job is not None else []
            counted = await self.counted(tx, told, deployment=deployment, at=at)
            plan = await aside(partial(of_job, request, definitions=definitions, keys_of=counted))
        else:
            defined = await self.defined(tx, deployment)
            selected = _selected(request, assets=defined.assets)
            told = [it.asset.partitions_told for it in selected.values()]
            counted = await self.counted(tx, told, deployment=deployment, at=at)
            work = partial(of_assets, request, selected=selected, locations=defined.locations, keys_of=counted)
            plan = await aside(work)
        check_size(plan)
        return plan

    async def defined(self, tx: Transaction, deployment: str) -> Defined:
        """Read what all locations of a deployment define."""
        catalog = await self._catalogs.of(tx, deployment)
        locations = {name: await self._core.definitions.get(tx, found) for name, found in catalog.hashes.items()}
        return Defined({name: it for name, it in locations.items() if it is not None}, catalog.assets)

    async def _definitions(self, tx: Transaction, key: LocationKey, *, at: datetime) -> Definitions:
        seen = await world.read_location(tx, key, memory=self._memory, at=at)
        if key not in seen.locations:
            raise await no_such_location(tx, key)
        held = seen.defining(key)
        found = await self._core.definitions.get(tx, held.snapshot_hash) if held is not None else None
        if found is None:
            raise LocationUnavailableError(key.name, why="it never served, so that nobody knows its partitions")
        return found

    async def counted(
        self, tx: Transaction, told: Iterable[PartitionsSnapshot | None], *, deployment: str, at: datetime
    ) -> KeysOf:
        """Return what tells the keys that these partitions have at a moment."""
        names = {name for one in told if one is not None for name in dynamic_names(one)}
        dynamic: Mapping[str, Sequence[str]] = {
            name: await dynamic_partitions.keys(tx, deployment=deployment, name=name) for name in names
        }
        counted: dict[bytes, list[str]] = {}

        def count(of: PartitionsSnapshot) -> Sequence[str]:
            # Many assets have the same, and to count them may take a while.
            name = of.SerializeToString(deterministic=True)
            if name not in counted:
                try:
                    counted[name] = keys_of(of, dynamic=dynamic, at=at)
                except UncountableError as error:
                    raise InvalidRequestError([Violation("partition_keys", str(error))]) from error
            return counted[name]

        return count


async def aside(work: Callable[[], Plan]) -> Plan:
    """Plan off the event loop: to count 100,000 partitions takes most of a second."""
    return await asyncio.to_thread(work)


def check_size(plan: Plan) -> None:
    """Refuse a plan of too many runs.

    Raises:
        InvalidRequestError: Says how many there may be.
    """
    most = MAX_DEPENDENT_RUNS if plan.blocked else MAX_PARTITIONS
    if len(plan.runs) > most:
        what = "a backfill whose runs wait for each other" if plan.blocked else "a backfill"
        text = f"come to {len(plan.runs):,} runs, and {what} has {most:,} at the most: make several"
        refuse([Violation("partition_keys", text)])


def _selected(
    request: CreateBackfillRequest, *, assets: Mapping[AssetPath, CatalogAsset]
) -> dict[AssetPath, CatalogAsset]:
    """Return the assets that a request selects, of all locations, or of the one that it names."""
    there = {path: it for path, it in assets.items() if request.location in {"", it.location}}
    shown = ["/".join(path) for path in there]
    found: set[AssetPath] = set()
    violations: list[Violation] = []
    for index, key in enumerate(request.asset_selection):
        if tuple(key.path) in there:
            found.add(tuple(key.path))
        else:
            text = unknown("asset", name="/".join(key.path), known=shown)
            violations.append(Violation(f"asset_selection[{index}]", text))
    for index, query in enumerate(request.asset_queries):
        try:
            found |= select(query, assets={path: it.asset for path, it in there.items()})
        except AssetQueryError as error:
            text = unknown("asset", name=error.missing, known=shown) if error.missing else error.why
            violations.append(Violation(f"asset_queries[{index}]", text))
    refuse(violations)
    return {path: there[path] for path in sorted(found)}
