"""What to do about one location: wanted against actual, as a pure function."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from isthmus_agent.servers.phase import ServerPhase


@dataclass(frozen=True)
class ServerView:
    """A code server of the location as the decision sees it."""

    name: str
    generation: int
    phase: ServerPhase
    #: Whether runs or calls live on it, as far as is known; not knowing counts as busy.
    is_busy: bool


@dataclass(frozen=True)
class Wanted:
    """A server that is to run: of the desired spec, or of the last one that served."""

    name: str
    #: Whether a start is possible at this moment: no back-off is running, and nothing of its last life is left.
    may_start: bool = True
    #: Whether the agent's policy lets this spec be served.
    is_allowed: bool = True


@dataclass(frozen=True)
class Plan:
    """What to do now. Doing all of it, and deciding again when something changed, ends in an empty plan."""

    #: The servers to start, by name.
    starts: tuple[str, ...]
    #: The server that answers launches from now on; None for none.
    serving: str | None
    #: Servers to end, in order of their names.
    stops: tuple[str, ...]


def reconcile(
    *, wanted: Wanted | None, fallback: Wanted | None = None, servers: Sequence[ServerView], serving: str | None
) -> Plan:
    """Decide what becomes of a location's servers.

    Args:
        wanted: the server that the desired spec asks for; None when the location is to go away.
        fallback: the server of the last spec that served, while the wanted one cannot be loaded.
        servers: all that exist, in any order.
        serving: the name of the one that answers launches now.
    """
    if wanted is None:
        fallback = None
    chosen = _choose(wanted=wanted, servers=servers, serving=serving)
    kept = {server.name for server in (wanted, fallback) if server is not None and server.is_allowed}
    if chosen is not None and fallback is not None and chosen != fallback.name:
        # Somebody else serves already.
        kept.discard(fallback.name)
    stops = sorted(server.name for server in servers if server.name != chosen and _may_go(server, kept=kept))
    exist = {server.name for server in servers}
    starts = [wanted] if wanted is not None else []
    if fallback is not None and chosen is None:
        starts.append(fallback)
    names = tuple(one.name for one in starts if one.is_allowed and one.may_start and one.name not in exist)
    return Plan(starts=names, serving=chosen, stops=tuple(stops))


def _choose(*, wanted: Wanted | None, servers: Sequence[ServerView], serving: str | None) -> str | None:
    """Choose who answers: the wanted one once it is ready; until then whoever did, or else the newest that can."""
    if wanted is None:
        return None
    ready = {server.name: server for server in servers if server.phase is ServerPhase.READY}
    if not wanted.is_allowed:
        ready.pop(wanted.name, None)
    for name in (wanted.name, serving):
        if name in ready:
            return name
    newest = max(ready.values(), key=lambda server: (server.generation, server.name), default=None)
    return newest.name if newest else None


def _may_go(server: ServerView, *, kept: Collection[str]) -> bool:
    if server.phase is ServerPhase.BROKEN:
        return True
    return server.name not in kept and not server.is_busy
