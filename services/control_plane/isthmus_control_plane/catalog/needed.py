"""Which partitions of its parents a partition was made of, as far as rows and typed definitions tell it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isthmus_control_plane.validation.definition import Asset, AssetPath
from isthmus_control_plane.validation.merged import CatalogAsset

#: An asset, and a partition of it; the partition is empty for an asset without any.
Place = tuple[AssetPath, str]
#: What depends on more partitions of a parent is not compared with them, as in Dagster.
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Needed:
    """What something was made of."""

    places: Sequence[Place] = ()
    #: Why that cannot be told here; empty where it can.
    why_unknown: str = ""


def needed(path: AssetPath, partition: str, *, assets: Mapping[AssetPath, CatalogAsset]) -> Needed:
    """Return what an asset, or a partition of it, was made of: right above it."""
    asset = assets[path].asset
    found: list[Place] = []
    for parent in sorted(asset.parents):
        keys, why = _keys(asset, partition, parent=parent, above=assets[parent].asset if parent in assets else None)
        if why:
            return Needed(why_unknown=f"which partitions of {'/'.join(parent)!r} it needs {why}")
        if len(keys) < _MOST:
            found += [(parent, key) for key in keys]
    return Needed(found)


def _keys(asset: Asset, partition: str, *, parent: AssetPath, above: Asset | None) -> tuple[Sequence[str], str]:
    """Return the keys of one parent's partitions, or why they cannot be told."""
    told = above.partitions_told if above is not None else None
    if told is None:
        return [""], ""
    mapping = asset.mappings.get(parent)
    kind = mapping.kind if mapping is not None else ""
    if kind == "all" and told.kind == "time_window":
        # There are ever more of them: Dagster does not compare with them either.
        return [], ""
    if told.kind == "static" and kind in {"all", "last"}:
        return (list(told.keys) if kind == "all" else list(told.keys[-1:])), ""
    is_one_to_one = kind == "identity" or (
        kind == "time_window" and mapping is not None and not mapping.start_offset and not mapping.end_offset
    )
    if partition and is_one_to_one and asset.partitions_told == told:
        return [partition], ""
    return [], f"is known to its code server alone ({kind or 'no mapping was told'})"
