"""One graph of assets out of what several locations define. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from isthmus_store.fact import asset_text

from isthmus_control_plane.validation.definition import Asset, AssetPath, Definitions


@dataclass(frozen=True, slots=True)
class CatalogAsset:
    """An asset, whichever locations know it."""

    path: AssetPath
    #: The path as the store names it: pages are in the order of these.
    key: str
    #: Whose definition counts.
    location: str
    asset: Asset
    #: Others that define it, or know it by name, by name.
    other_locations: tuple[str, ...]
    #: What depends on it, in any location.
    children: tuple[AssetPath, ...]


def merge(locations: Mapping[str, Definitions]) -> dict[AssetPath, CatalogAsset]:
    """Return all assets by their paths, in the order of their keys.

    Of several locations that have one of the same key, the one that can materialize it owns it, else one that observes it,
    else one that knows more than its name; ties go by the locations' names.
    """
    holders: dict[AssetPath, list[tuple[str, Asset]]] = {}
    for name, definitions in sorted(locations.items()):
        for path, asset in definitions.assets.items():
            holders.setdefault(path, []).append((name, asset))
    owned = {path: min(held, key=rank) for path, held in holders.items()}
    children = _children((path, asset) for path, (_, asset) in owned.items())
    return {
        path: CatalogAsset(
            path=path,
            key=asset_text(path),
            location=location,
            asset=asset,
            other_locations=tuple(name for name, _ in holders[path] if name != location),
            children=tuple(sorted(children.get(path, ()))),
        )
        for path, (location, asset) in sorted(owned.items(), key=lambda it: asset_text(it[0]))
    }


def rank(held: tuple[str, Asset]) -> tuple[bool, bool, bool, str]:
    """Return by what locations that have an asset of the same key are compared: the least one owns it."""
    location, asset = held
    return not asset.is_materializable, not asset.is_observable, asset.is_stub, location


def _children(assets: Iterable[tuple[AssetPath, Asset]]) -> Mapping[AssetPath, set[AssetPath]]:
    found: dict[AssetPath, set[AssetPath]] = {}
    for path, asset in assets:
        for parent in asset.parents:
            found.setdefault(parent, set()).add(path)
    return found
