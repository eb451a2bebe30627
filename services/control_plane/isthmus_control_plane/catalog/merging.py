"""The assets of a deployment over all its locations, as they are defined: read, merged, and kept until a location changes."""

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.v1.telemetry_pb2 import AssetKey
from isthmus_store.transaction import Transaction

from isthmus_control_plane import clock
from isthmus_control_plane.core import Core
from isthmus_control_plane.errors import NotFoundError
from isthmus_control_plane.fleet import world
from isthmus_control_plane.validation.definition import AssetPath
from isthmus_control_plane.validation.merged import CatalogAsset, merge
from isthmus_control_plane.validation.suggestion import meant


@dataclass(frozen=True, slots=True)
class Catalog:
    """All assets of a deployment, and the snapshots that they are of, by location."""

    deployment: str
    hashes: Mapping[str, str]
    assets: Mapping[AssetPath, CatalogAsset]

    def get(self, key: AssetKey) -> CatalogAsset:
        """Return an asset.

        Raises:
            NotFoundError: No location knows it.
        """
        found = self.assets.get(tuple(key.path))
        if found is None:
            raise NotFoundError(
                "asset",
                name="/".join(key.path),
                deployment=self.deployment,
                hint=meant("/".join(key.path), known=("/".join(path) for path in self.assets)),
                remedy="All assets: isthmus asset list",
            )
        return found


class CatalogMemory:
    """The newest merged catalog of each deployment."""

    def __init__(self, core: Core, *, memory: world.SyncMemory) -> None:
        self._core = core
        self._memory = memory
        self._merged: dict[str, Catalog] = {}

    async def of(self, tx: Transaction, deployment: str) -> Catalog:
        """Return the deployment's assets; of a location that does not serve now, as it did last."""
        seen = await world.read(tx, memory=self._memory, at=clock.now(), deployment=deployment)
        return await self._merge(tx, deployment, seen=seen)

    async def all_of(self, tx: Transaction) -> list[Catalog]:
        """Return the assets of every deployment that has locations."""
        seen = await world.read(tx, memory=self._memory, at=clock.now())
        return [await self._merge(tx, it, seen=seen) for it in sorted({key.deployment for key in seen.placements})]

    async def _merge(self, tx: Transaction, deployment: str, *, seen: world.World) -> Catalog:
        defining = {
            key.name: held
            for key in seen.placements
            if key.deployment == deployment and (held := seen.defining(key)) is not None
        }
        hashes = {name: held.snapshot_hash for name, held in defining.items() if held.snapshot_hash}
        known = self._merged.get(deployment)
        if known is None or known.hashes != hashes:
            defined = {name: await self._core.definitions.get(tx, found) for name, found in hashes.items()}
            assets = merge({name: it for name, it in defined.items() if it is not None})
            known = self._merged[deployment] = Catalog(deployment, hashes, assets)
        return known
