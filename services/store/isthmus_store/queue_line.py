"""The lines in which runs wait: the runs of one line are held back by the same limits, so that its first stands for all.

A line's name tells what is the same for its runs: priority, deployment, location, which tags were looked at when it was
named, and a digest of those tags and of the pools. The name begins with the priority, turned round, so that the order of
names is the order in which lines are looked at.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from isthmus_store.record.location import LocationKey

PRIORITY_TAG: Final = "dagster/priority"
#: Priorities beyond it count as it.
_MOST: Final = 2**31
#: Stands for no tags and pools, and for no keys.
_NONE: Final = "-"
#: Of a deployment that limits no tags.
NO_SORTING: Final = _NONE
#: Follows the keys' digest while it is not known what the location defines.
_INCOMPLETE: Final = "?"
_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Needs:
    """What is the same for the runs of a line."""

    location: LocationKey
    priority: int = 0
    #: Those of the tags that some limit asks for, by key.
    tags: tuple[tuple[str, str], ...] = ()
    #: The pools that the steps use, by name.
    pools: tuple[str, ...] = ()
    #: Those of the steps that begin at once, by name, where each of these is in one; else none.
    root_pools: tuple[str, ...] = ()
    #: Counted once: a look finds what limits hundreds of lines by it.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.location, self.priority, self.tags, self.pools, self.root_pools)))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class LineName:
    """What a line's name tells."""

    location: LocationKey
    priority: int
    #: Which keys of tags were looked at, and whether the pools were known.
    sorting: str
    is_complete: bool
    #: Whether its runs have tags that a limit asks for, or pools.
    is_plain: bool

    @classmethod
    @lru_cache(maxsize=20_000)
    def parse(cls, name: str) -> "LineName | None":
        """Read a line's name; None for one that this release did not give."""
        parts = name.split("/")
        if len(parts) != _PARTS or not parts[0].isdecimal():
            return None
        turned, deployment, location, sorting, digest = parts
        return cls(
            location=LocationKey(deployment, location),
            priority=_MOST - int(turned),
            sorting=sorting.removesuffix(_INCOMPLETE),
            is_complete=not sorting.endswith(_INCOMPLETE),
            is_plain=digest == _NONE,
        )

    @property
    def plain_needs(self) -> Needs:
        """The needs of runs without tags and pools that matter."""
        return Needs(self.location, self.priority)


def behind(priority: int) -> str:
    """Return what follows the names of all lines of a priority and of larger ones, and stands before all others."""
    return f"{_MOST - priority + 1:010d}"


def priority_of(tags: Mapping[str, str]) -> int:
    """Return a run's priority: a whole number in a tag, larger first; what is no such number counts as 0."""
    try:
        wanted = int(tags.get(PRIORITY_TAG, "0"))
    except ValueError:
        return 0
    return max(-_MOST, min(wanted, _MOST))


def needs_of(
    location: LocationKey,
    *,
    tags: Mapping[str, str],
    pools: Iterable[str],
    keys: Collection[str],
    root_pools: Iterable[str] = (),
) -> Needs:
    """Return what decides about a run, of all that is known of it."""
    looked_at = tuple(sorted((key, value) for key, value in tags.items() if key in keys))
    return Needs(location, priority_of(tags), looked_at, tuple(sorted(set(pools))), tuple(sorted(set(root_pools))))


def sorting_of(keys: Collection[str]) -> str:
    """Return the digest of the keys of tags that limits ask for."""
    return _digest(sorted(keys)) if keys else _NONE


def line_name(needs: Needs, *, keys: Collection[str], is_complete: bool = True) -> str:
    """Name the line of runs with these needs.

    Args:
        needs: What is the same for them.
        keys: The keys of tags that limits ask for now.
        is_complete: Whether their pools are known.
    """
    sorting = sorting_of(keys) + ("" if is_complete else _INCOMPLETE)
    digest = _digest(_distinction(needs)) if needs.tags or needs.pools else _NONE
    return "/".join((f"{_MOST - needs.priority:010d}", *needs.location, sorting, digest))


def _distinction(needs: Needs) -> list[object]:
    """Return what tells lines of a place and priority apart; those of runs that need not wait are named as ever."""
    return [needs.tags, needs.pools, *([needs.root_pools] if needs.root_pools else [])]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:24]
