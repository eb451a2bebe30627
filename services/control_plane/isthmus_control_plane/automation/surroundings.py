"""What other locations define around the assets that a sensor of automation decides about."""

from collections.abc import Mapping

from isthmus.v1.instruction_pb2 import AutomationSurroundings
from isthmus.v1.telemetry_pb2 import AssetKey, AssetSnapshot
from isthmus_store import placements
from isthmus_store.transaction import Transaction

from isthmus_control_plane.core import Core
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import Asset, AssetPath, Definitions, Sensor
from isthmus_control_plane.validation.merged import rank


async def read(tx: Transaction, sensor: Sensor, *, place: LocationKey, core: Core) -> AutomationSurroundings:
    """Return what is around a sensor of a location now."""
    locations: dict[str, Definitions] = {}
    # Of several agents of a location, what the newest generation says counts.
    held_by = await placements.all_of(tx, deployment=place.deployment)
    for held in sorted(held_by, key=lambda it: it.serving_generation):
        definitions = await core.definitions.get(tx, held.snapshot_hash)
        if definitions is not None:
            locations[held.location] = definitions
    return around(sensor, location=place.name, locations=locations)


def around(sensor: Sensor, *, location: str, locations: Mapping[str, Definitions]) -> AutomationSurroundings:
    """Return what others define of what a location knows by name alone, and which of its assets others own. Pure."""
    own = locations.get(location)
    if own is None:
        return AutomationSurroundings()
    stubs = sorted(path for path, asset in own.assets.items() if asset.is_stub)
    decided = sorted(sensor.automated & own.assets.keys())
    owners = {path: _owner(path, locations=locations) for path in [*stubs, *decided]}
    return AutomationSurroundings(
        neighbours=[_neighbour(path, owners[path][1]) for path in stubs if owners[path][0] != location],
        owned_elsewhere=[AssetKey(path=path) for path in decided if owners[path][0] != location],
    )


def _owner(path: AssetPath, *, locations: Mapping[str, Definitions]) -> tuple[str, Asset]:
    held = [(name, asset) for name, it in locations.items() if (asset := it.assets.get(path)) is not None]
    return min(held, key=rank)


def _neighbour(path: AssetPath, asset: Asset) -> AssetSnapshot:
    told = AssetSnapshot(
        key=AssetKey(path=path),
        is_executable=asset.is_executable,
        is_observable=asset.is_observable,
        is_materializable=asset.is_materializable,
        partitions=asset.partitions_told,
    )
    for name in sorted(asset.blocking_checks):
        told.checks.add(name=name, is_blocking=True)
    return told
