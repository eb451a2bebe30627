"""Where a run executes, and how much it may use: a pure decision over its tags, its location and its host."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from isthmus_agent.desired.container import Limits
from isthmus_agent.desired.location import Isolation

ISOLATION_TAG = "isthmus/isolation"
#: Dagster's own word for it; ours wins where both are given.
DAGSTER_ISOLATION_TAG = "dagster/isolation"
MEMORY_TAG = "isthmus/memory"
CPUS_TAG = "isthmus/cpus"
PIDS_TAG = "isthmus/pids"
#: Not to be chosen by a run: an image belongs to the location, and so to what its snapshot says.
IMAGE_TAG = "isthmus/image"

_ISOLATIONS: Mapping[str, Mapping[str, Isolation]] = {
    ISOLATION_TAG: {"shared": Isolation.SHARED, "dedicated": Isolation.DEDICATED},
    DAGSTER_ISOLATION_TAG: {"disabled": Isolation.SHARED, "enabled": Isolation.DEDICATED},
}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b)", re.IGNORECASE)
_UNITS = {
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}
_LARGEST = 2**63


@dataclass(frozen=True)
class Placement:
    """Where a run executes."""

    isolation: Isolation
    #: What the run asks for itself; 0 for what its location has.
    limits: Limits


@dataclass(frozen=True)
class TagFault:
    """A tag whose value means nothing."""

    tag: str
    remedy: str


def placement_of(
    tags: Mapping[str, str], *, location: Isolation | None, host: Isolation
) -> Placement | tuple[TagFault, ...]:
    """Decide where a run executes, or tell which of its tags keep that from being decided.

    Args:
        tags: of the run, those of its job included.
        location: what its location wants; None for the host's own way.
        host: the host's own way.
    """
    faults: list[TagFault] = []
    limits = Limits(
        memory_bytes=_number(tags, MEMORY_TAG, _memory_bytes, 'a size such as "512MB" or "1GiB"', faults),
        cpus=_number(tags, CPUS_TAG, _positive, 'a number of processors such as "1.5"', faults),
        pids=_number(tags, PIDS_TAG, _count, 'a number of processes such as "200"', faults),
    )
    isolation = _isolation(tags, faults) or location or host
    if IMAGE_TAG in tags:
        faults.append(TagFault(IMAGE_TAG, "Leave it out: the image belongs to the location; apply another location."))
    elif isolation is Isolation.SHARED is not host and limits != Limits() and not faults:
        # A host of processes has no limits anywhere, and runs what is written for one of containers.
        faults.append(TagFault(_first_limit(tags), f"Add {ISOLATION_TAG}: dedicated; a shared run has no limits."))
    return tuple(faults) or Placement(isolation, limits)


def merged(limits: Limits, *, over: Limits) -> Limits:
    """Return a location's limits with those that a run asks for in their place."""
    return Limits(
        memory_bytes=limits.memory_bytes or over.memory_bytes,
        cpus=limits.cpus or over.cpus,
        pids=limits.pids or over.pids,
    )


def _isolation(tags: Mapping[str, str], faults: list[TagFault]) -> Isolation | None:
    for tag, meanings in _ISOLATIONS.items():
        value = tags.get(tag)
        if value is not None and value not in meanings:
            faults.append(TagFault(tag, f"Use one of: {', '.join(meanings)}."))
        elif value is not None:
            return meanings[value]
    return None


N = TypeVar("N", int, float)


def _number(tags: Mapping[str, str], tag: str, read: Callable[[str], N], form: str, faults: list[TagFault]) -> N:
    """Read a tag's number; 0 when there is no such tag, or a fault when it is not above 0."""
    value = read(tags.get(tag, "0"))
    if tag in tags and not 0 < value < _LARGEST:
        faults.append(TagFault(tag, f"Use {form}."))
    return value


def _first_limit(tags: Mapping[str, str]) -> str:
    return next(tag for tag in (MEMORY_TAG, CPUS_TAG, PIDS_TAG) if tag in tags)


def _memory_bytes(text: str) -> int:
    match = _MEMORY.fullmatch(text.strip())
    return int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0


def _count(text: str) -> int:
    return int(text) if text.strip().isdecimal() else 0
