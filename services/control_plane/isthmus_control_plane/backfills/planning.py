"""Which runs a backfill is to make: partitions, chosen of those that there are, and grouped as a run takes them. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from isthmus.v1.control_plane_pb2 import CreateBackfillRequest
from isthmus.v1.telemetry_pb2 import PartitionRange
from isthmus_store.record.backfill import PlannedRun

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation.suggestion import unknown

#: Faults that are told of one list: a list of another job would have thousands.
_MOST_FAULTS: Final = 5


def chosen(request: CreateBackfillRequest, *, keys: Sequence[str]) -> tuple[list[int], list[Violation]]:
    """Return the places of the partitions that a request means, among all that there are, in their order.

    Also the faults of a request that names others.
    """
    if request.is_all:
        return list(range(len(keys))), [] if keys else [
            Violation("is_all", "means nothing: there are no partitions yet")
        ]
    places = {key: place for place, key in enumerate(keys)}
    found: set[int] = set()
    faults: list[Violation] = []
    for index, key in enumerate(request.partition_keys):
        if key in places:
            found.add(places[key])
        else:
            faults.append(Violation(f"partition_keys[{index}]", _unknown(key, keys=keys)))
    for index, it in enumerate(request.ranges):
        ends, wrong = _ends(it, places=places, field=f"ranges[{index}]")
        found.update(ends)
        faults += wrong
    return sorted(found), faults[:_MOST_FAULTS]


def _ends(it: PartitionRange, *, places: dict[str, int], field: str) -> tuple[Iterable[int], list[Violation]]:
    faults = [
        Violation(f"{field}.{name}", _unknown(key, keys=list(places)))
        for name, key in (("first", it.first), ("last", it.last))
        if key not in places
    ]
    if faults:
        return (), faults
    first, last = places[it.first], places[it.last]
    if first > last:
        return (), [Violation(field, f"{it.first!r} comes behind {it.last!r}: write them the other way round")]
    return range(first, last + 1), []


def _unknown(key: str, *, keys: Sequence[str]) -> str:
    text = unknown("partition", name=key, known=keys)
    return f"{text}; they are {keys[0]!r} to {keys[-1]!r}" if keys else text


def planned(
    places: Iterable[int], *, keys: Sequence[str], most: int, group: int = 0, after: int = 0
) -> list[PlannedRun]:
    """Return the runs of partitions: each takes as many as lie side by side, and no more than so many.

    Args:
        places: Which partitions, in their order.
        keys: All partitions that there are.
        most: So many partitions a run; 0 for any number.
        group: What the runs make.
        after: How many runs of the backfill come before these.
    """
    groups: list[list[int]] = []
    for place in places:
        last = groups[-1] if groups else []
        if last and last[-1] + 1 == place and (not most or len(last) < most):
            last.append(place)
        else:
            groups.append([place])
    return [
        PlannedRun(number=number, first=keys[it[0]], last=keys[it[-1]], partitions=len(it), group=group, begin=it[0])
        for number, it in enumerate(groups, start=after + 1)
    ]
