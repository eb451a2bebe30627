"""A deployment's limits, and which slots a run takes: pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, NamedTuple

from isthmus.v1.control_plane_pb2 import PoolLimits, QueueSettings
from isthmus_store.queue_line import Needs, sorting_of


class Slot(NamedTuple):
    """Something of which there is a limited number. Runs that take it are counted together."""

    deployment: str
    #: "runs", "location", "tag" or "pool".
    kind: str
    #: The location, the pool, the tag's key, or key and value as `key=value`.
    name: str = ""

    def __str__(self) -> str:
        """Say what it is in words."""
        match self.kind:
            case "runs":
                return f"deployment {self.deployment}"
            case "tag":
                return f"tag {self.name}"
            case _:
                return f"{self.kind} {self.name}"


class Limit(NamedTuple):
    """How many runs may have a slot at a time."""

    slot: Slot
    most: int


@dataclass(frozen=True, slots=True)
class TagLimit:
    """A limit of runs with a tag."""

    key: str
    most: int
    #: None for any value.
    value: str | None = None
    #: Whether the runs of each value are counted by themselves.
    is_per_value: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """All limits of a deployment; without any, runs are limited by nothing."""

    max_runs: int | None = None
    locations: Mapping[str, int] = field(default_factory=dict)
    tags: tuple[TagLimit, ...] = ()
    pools: Mapping[str, int] = field(default_factory=dict)
    #: Of each pool that has none of its own.
    default_pool: int | None = None
    #: Whether steps claim the slots of pools, and not whole runs.
    are_pools_of_steps: bool = False
    #: How many steps may wait for each pool before runs that would only wait are held back.
    run_buffer: int = 0
    #: What was told of needs before: a look asks the same of hundreds of lines, several times.
    _told: dict[Needs, tuple[Limit, ...]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    @lru_cache(maxsize=100)
    def parse(cls, body: bytes) -> "Rules":
        """Read a stored QueueSettings message; the same one for the same bytes."""
        return cls.of(QueueSettings.FromString(body))

    def limits_of(self, needs: Needs) -> tuple[Limit, ...]:
        """List the slots that a run takes and of which there is a limit: all of them must be free."""
        known = self._told.get(needs)
        if known is None:
            if len(self._told) > _REMEMBERED:
                self._told.clear()
            known = self._told[needs] = tuple(_limits_of(needs, self))
        return known

    @classmethod
    def of(cls, settings: QueueSettings) -> "Rules":
        """Read the contract's message."""
        return cls(
            max_runs=settings.max_runs if settings.HasField("max_runs") else None,
            locations=dict(settings.locations),
            tags=tuple(
                TagLimit(it.key, it.limit, it.value if it.HasField("value") else None, it.per_value)
                for it in settings.tags
            ),
            pools=dict(settings.pools.limits),
            default_pool=settings.pools.default_limit if settings.pools.HasField("default_limit") else None,
            are_pools_of_steps=settings.pools.granularity == PoolLimits.GRANULARITY_OP,
            run_buffer=settings.pools.run_buffer,
        )

    def most_of_pool(self, pool: str) -> int | None:
        """Return how many slots a pool has; None for one that is not limited."""
        return self.pools.get(pool, self.default_pool)

    @property
    def keys(self) -> frozenset[str]:
        """The keys of tags that limits ask for."""
        return frozenset(it.key for it in self.tags)

    @property
    def sorting(self) -> str:
        """The digest of the keys, as names of lines have it."""
        return sorting_of(self.keys)

    @property
    def is_limiting(self) -> bool:
        """Whether anything is limited."""
        return replace(self, are_pools_of_steps=False, run_buffer=0) != Rules()


#: Needs whose limits are remembered.
_REMEMBERED: Final = 20_000
#: Of a deployment that has set none.
NO_RULES = Rules()


def _limits_of(needs: Needs, rules: Rules) -> Iterator[Limit]:
    deployment, name = needs.location
    if rules.max_runs is not None:
        yield Limit(Slot(deployment, "runs"), rules.max_runs)
    if name in rules.locations:
        yield Limit(Slot(deployment, "location", name), rules.locations[name])
    tags = dict(needs.tags)
    for it in rules.tags:
        if it.key in tags and it.value in {None, tags[it.key]}:
            shown = it.key if it.value is None and not it.is_per_value else f"{it.key}={tags[it.key]}"
            yield Limit(Slot(deployment, "tag", shown), it.most)
    if not rules.are_pools_of_steps:
        yield from pool_limits(needs, rules)


def pool_limits(needs: Needs, rules: Rules) -> Iterator[Limit]:
    """List the limits of the pools that a run's steps use."""
    for pool in needs.pools:
        most = rules.most_of_pool(pool)
        if most is not None:
            yield Limit(Slot(needs.location.deployment, "pool", pool), most)


def configured(rules: Rules, *, deployment: str) -> Iterator[Limit]:
    """List the limits that the settings name, whether or not runs take of them."""
    if rules.max_runs is not None:
        yield Limit(Slot(deployment, "runs"), rules.max_runs)
    for name, most in rules.locations.items():
        yield Limit(Slot(deployment, "location", name), most)
    for it in rules.tags:
        if not it.is_per_value:
            yield Limit(Slot(deployment, "tag", it.key if it.value is None else f"{it.key}={it.value}"), it.most)
    for name, most in rules.pools.items():
        yield Limit(Slot(deployment, "pool", name), most)


class HeldLine(NamedTuple):
    """How many runs of a line hold slots, and how many of them have steps that claim those of pools themselves."""

    needs: Needs
    runs: int
    claiming: int = 0


def taken(held: Iterable[HeldLine], *, rules: Mapping[str, Rules]) -> Counter[Slot]:
    """Count the slots that runs hold: derived anew each time, so that none is ever lost.

    Args:
        held: How many runs of each line hold slots.
        rules: The limits of each deployment that has some.
    """
    counts: Counter[Slot] = Counter()
    for needs, count, claiming in held:
        of_deployment = rules.get(needs.location.deployment, NO_RULES)
        for slot in dict.fromkeys(limit.slot for limit in of_deployment.limits_of(needs)):
            if slot.kind != "pool":
                counts[slot] += count
        for limit in pool_limits(needs, of_deployment) if count > claiming else ():
            counts[limit.slot] += count - claiming
    return counts
