"""What to do about the dedicated servers of one location: a pure decision."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from isthmus_agent.run_key import RunKey


class Stage(Enum):
    """How far a dedicated server has come."""

    #: Its process starts, or imports the definitions.
    LOADING = auto()
    #: It waits for a run.
    READY = auto()
    #: A run is on it, or may be.
    TAKEN = auto()
    #: It could not load, or died.
    BROKEN = auto()
    #: It is being ended.
    ENDING = auto()


@dataclass(frozen=True)
class ServerFacts:
    """A dedicated server as the decision sees it."""

    name: str
    stage: Stage
    #: Whether it is as servers are made now: of the generation that serves, with the location's own limits.
    fits: bool = True
    #: The launch that it was started for, while that waits.
    bound_to: RunKey | None = None
    #: Whether it has waited for a launch for so long, loaded or not, that it may go where it is one too many.
    is_stale: bool = False


@dataclass(frozen=True)
class Waiting:
    """A launch that waits for a server."""

    key: RunKey
    #: Whether a standby will do; not so where the run's limits differ, and cannot be changed on a server that runs.
    takes_standby: bool = True


@dataclass(frozen=True)
class PoolWish:
    """What is wanted of a location's dedicated servers."""

    #: How many are to stand by.
    standby: int
    #: Whether idle servers may be there at all: not so when the location sleeps, or is not wanted any more.
    is_open: bool = True
    #: Whether it is known how servers are made now.
    is_known: bool = True
    #: Whether a standby may be started at this moment: no launch is in flight, and no back-off is running.
    may_refill: bool = True
    #: How many servers may load at once; imports take the processors from each other.
    most_loading: int = 2


@dataclass(frozen=True)
class PoolPlan:
    """What to do now. Doing all of it, and deciding again when something changed, ends in an empty plan."""

    #: Which launch gets which server.
    gives: tuple[tuple[RunKey, str], ...] = ()
    #: The launches that get a server started for them.
    cold: tuple[RunKey, ...] = ()
    #: Whether to start a standby.
    refills: bool = False
    #: Servers to end.
    stops: tuple[str, ...] = ()


@dataclass
class _Gifts:
    """Which launches got a server, which go on waiting, and what is left."""

    free: list[ServerFacts]
    gives: list[tuple[RunKey, str]] = field(default_factory=list)
    left: list[Waiting] = field(default_factory=list)


def plan_pool(wish: PoolWish, *, servers: Sequence[ServerFacts], waiting: Sequence[Waiting]) -> PoolPlan:
    """Decide what becomes of a location's dedicated servers and of the launches that wait for one.

    Launches come first, in their order: each takes a server that is ready, or counts on a standby that loads and that
    no earlier launch counts on, or gets one of its own. Only when none waits is the pool filled up, one import at a time.

    Args:
        wish: what is wanted.
        servers: all that exist, those that have waited longest first.
        waiting: the launches, the first first.
    """
    gifts = _gifts(wish, servers=servers, waiting=waiting)
    cold = _cold(wish, servers=servers, left=gifts.left)
    loading = [server for server in servers if _is_spare(server) and server.stage is Stage.LOADING]
    has_room = len(gifts.free) < wish.standby and not loading and not gifts.left
    return PoolPlan(
        gives=tuple(gifts.gives),
        cold=cold,
        refills=has_room and wish.is_open and wish.is_known and wish.may_refill,
        stops=_stops(wish, servers=servers, gifts=gifts),
    )


def _gifts(wish: PoolWish, *, servers: Sequence[ServerFacts], waiting: Sequence[Waiting]) -> _Gifts:
    own = {server.bound_to: server for server in servers if server.stage is Stage.READY and server.bound_to}
    gifts = _Gifts([server for server in servers if _is_spare(server) and server.stage is Stage.READY])
    for launch in waiting:
        if (server := own.get(launch.key)) is not None:
            gifts.gives.append((launch.key, server.name))
        elif launch.takes_standby and gifts.free and wish.is_known:
            gifts.gives.append((launch.key, gifts.free.pop(0).name))
        else:
            gifts.left.append(launch)
    return gifts


def _cold(wish: PoolWish, *, servers: Sequence[ServerFacts], left: Sequence[Waiting]) -> tuple[RunKey, ...]:
    loading = [server for server in servers if server.stage is Stage.LOADING]
    bound = {server.bound_to for server in loading}
    coming = sum(1 for server in loading if _is_spare(server))
    room = wish.most_loading - len(loading) if wish.is_known else 0
    cold = []
    for launch in left:
        if launch.key in bound:
            continue
        if launch.takes_standby and coming:
            coming -= 1
        elif room > 0:
            room -= 1
            cold.append(launch.key)
    return tuple(cold)


def _stops(wish: PoolWish, *, servers: Sequence[ServerFacts], gifts: _Gifts) -> tuple[str, ...]:
    given = {name for _, name in gifts.gives}
    stops = [server.name for server in servers if _must_go(wish, server) and server.name not in given]
    too_many = [server.name for server in gifts.free if server.is_stale and server.name not in stops]
    stops += too_many[: max(0, len(gifts.free) - wish.standby)]
    return tuple(stops + _unawaited(wish, servers=servers, gifts=gifts))


def _unawaited(wish: PoolWish, *, servers: Sequence[ServerFacts], gifts: _Gifts) -> list[str]:
    """List servers that still load, and that no launch counts on any more: it was called off, or got another."""
    loading = [server for server in servers if _is_spare(server) and server.stage is Stage.LOADING]
    counted_on = sum(1 for launch in gifts.left if launch.takes_standby)
    too_many = len(loading) - counted_on - max(0, wish.standby - len(gifts.free))
    stale = [server.name for server in loading if server.is_stale and wish.is_open]
    return stale[: max(0, too_many)]


def _must_go(wish: PoolWish, server: ServerFacts) -> bool:
    if server.stage in {Stage.TAKEN, Stage.ENDING} or server.bound_to is not None:
        return False
    is_outdated = wish.is_known and not server.fits
    return server.stage is Stage.BROKEN or is_outdated or not wish.is_open


def _is_spare(server: ServerFacts) -> bool:
    return server.fits and server.bound_to is None
