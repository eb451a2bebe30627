"""What runs of a backfill make together, and what waits for what. Pure.

As Dagster does it: assets that have the same partitions and the same backfill policy are made by the same runs where of each other
they need no more than the same partition. Otherwise a run waits until those runs have succeeded of whose assets it needs something.
Where that is the same partition it waits for that one. Where it is others, it waits for all of the backfill, since which they are is
known next to the user's code alone; Dagster would let it go a little earlier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from isthmus.v1.control_plane_pb2 import BackfillGroup, BackfillWait
from isthmus.v1.telemetry_pb2 import AssetKey

from isthmus_control_plane.validation.definition import Asset, AssetPath

_SAME = BackfillWait.FOR_SAME_PARTITIONS
_ALL = BackfillWait.FOR_ALL
_EARLIER = BackfillWait.FOR_EARLIER


@dataclass(frozen=True, slots=True)
class Wanted:
    """An asset that is to be made."""

    location: str
    #: The job that makes it, by itself or with others.
    job_name: str
    asset: Asset
    #: The places of its partitions, of all that there are; None for an asset that has none.
    places: tuple[int, ...] | None


@dataclass(slots=True)
class _Group:
    """Assets that the same runs make."""

    paths: list[AssetPath]
    #: What another asset has to have in common with them; nothing has what one has that is to be alone.
    kind: tuple[object, ...]
    #: What they wait for, by the groups' places.
    waits: dict[int, BackfillWait.For.ValueType] = field(default_factory=dict)


def grouped(wanted: Mapping[AssetPath, Wanted]) -> list[tuple[BackfillGroup, Sequence[int] | None]]:
    """Return what is made together, in an order in which it can be made, each with the places of its partitions."""
    groups: list[_Group] = []
    place_of: dict[AssetPath, int] = {}
    for path in _in_order(wanted):
        needs = _needs(path, wanted=wanted, place_of=place_of)
        is_alone = path in wanted[path].asset.shifted_parents
        own = _kind(wanted[path])
        place = None if is_alone else _fitting(groups, own=own, needs=needs)
        if place is None:
            place = len(groups)
            groups.append(_Group([], () if is_alone else own))
        group = groups[place]
        group.paths.append(path)
        place_of[path] = place
        for other in needs.keys() - {place}:
            group.waits[other] = max(group.waits.get(other, _SAME), needs[other])
        if is_alone:
            group.waits[place] = _EARLIER
    return [(_told(it, wanted=wanted), wanted[it.paths[0]].places) for it in groups]


def _in_order(wanted: Mapping[AssetPath, Wanted]) -> list[AssetPath]:
    """Return assets behind those that they need; those that need nothing of each other by their keys."""
    sorter = TopologicalSorter(
        {path: sorted((wanted[path].asset.parents & wanted.keys()) - {path}) for path in sorted(wanted)}
    )
    return list(sorter.static_order())


def _needs(
    path: AssetPath, *, wanted: Mapping[AssetPath, Wanted], place_of: Mapping[AssetPath, int]
) -> dict[int, BackfillWait.For.ValueType]:
    """Return what an asset needs of the groups that there are, by their places."""
    it = wanted[path]
    found: dict[int, BackfillWait.For.ValueType] = {}
    for parent in (it.asset.parents & wanted.keys()) - {path}:
        is_same = (
            parent not in it.asset.shifted_parents and it.asset.partitions_told == wanted[parent].asset.partitions_told
        )
        place = place_of[parent]
        found[place] = max(found.get(place, _SAME), _SAME if is_same else _ALL)
    return found


def _kind(it: Wanted) -> tuple[object, ...]:
    told = it.asset.partitions_told
    partitions = told.SerializeToString(deterministic=True) if told is not None else b""
    return it.location, it.job_name, partitions, it.places, it.asset.max_partitions_per_run


def _fitting(
    groups: Sequence[_Group], *, own: tuple[object, ...], needs: Mapping[int, BackfillWait.For.ValueType]
) -> int | None:
    """Return the group that an asset may join: a like one that has waited for all else that the asset needs."""
    for place, group in enumerate(groups):
        if group.kind != own:
            continue
        may_begin = not needs and not group.waits
        may_follow = needs.get(place) == _SAME and needs.keys() <= _above(place, groups=groups)
        if may_begin or may_follow:
            return place
    return None


def _above(place: int, *, groups: Sequence[_Group]) -> set[int]:
    """Return the groups that a group waits for, however far above, itself included."""
    found: set[int] = set()
    left = [place]
    while left:  # pauses: each group is looked at once
        one = left.pop()
        if one not in found:
            found.add(one)
            left += groups[one].waits
    return found


def _told(group: _Group, *, wanted: Mapping[AssetPath, Wanted]) -> BackfillGroup:
    first = wanted[group.paths[0]]
    return BackfillGroup(
        location=first.location,
        job_name=first.job_name,
        assets=[AssetKey(path=path) for path in sorted(group.paths)],
        waits=[BackfillWait(group=other, what=what) for other, what in sorted(group.waits.items())],
    )
