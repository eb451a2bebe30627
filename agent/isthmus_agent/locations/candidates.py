"""What a location may be served by: what is wanted of it and, while that cannot be loaded, what served before."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from isthmus_agent.alarm import earliest
from isthmus_agent.errors import LocationRefusedError
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.locations.reconcile import Wanted
from isthmus_agent.policy.verdict import Refused
from isthmus_agent.servers.trouble import Breakdown, TroubleLog
from isthmus_agent.servers.wanted import KeeperTiming, WantedLocation


@dataclass(frozen=True)
class Candidate:
    """A server that may come to serve."""

    location: WantedLocation
    name: str
    #: What went wrong with it.
    trouble: TroubleLog

    @property
    def cannot_load(self) -> bool:
        """Whether it did not come to serve when it was last tried, or must not be tried."""
        return self.trouble.last is not None and self.trouble.last.is_load_failure

    def view(self, *, now: float, ending: Collection[str]) -> Wanted:
        """Return it as the decision sees it, where the servers named in `ending` are not gone yet."""
        may_start = now >= self.trouble.may_start_at and self.name not in ending
        return Wanted(self.name, may_start=may_start, is_allowed=self.location.is_allowed)

    def next_start_at(self, *, there: Collection[str]) -> float | None:
        """Return when it may be started; None if it is there, or must not be."""
        return self.trouble.may_start_at if self.location.is_allowed and self.name not in there else None


class Candidates:
    """The wanted server of one location, and the one that it falls back to."""

    def __init__(self, timing: KeeperTiming) -> None:
        """Begin with nothing wanted; what fails is tried again as `timing` says."""
        self._timing = timing
        self.wanted: Candidate | None = None
        #: What served last of what was wanted: it is started again if it dies while its successor cannot be loaded.
        self.fallback: Candidate | None = None
        #: The generation that was wanted last: a location that has gone is told of by it.
        self.generation = 0

    @property
    def needed_fallback(self) -> Candidate | None:
        """The fallback, while something else is wanted and cannot be loaded."""
        if self.wanted is None or self.fallback is None or self.fallback.name == self.wanted.name:
            return None
        return self.fallback if self.wanted.cannot_load else None

    @property
    def is_fallback_coming(self) -> bool:
        """Whether the fallback is to serve, and can as far as is known."""
        return (fallback := self.needed_fallback) is not None and not fallback.cannot_load

    @property
    def may_serve(self) -> bool:
        """Whether the location is to be served by one of them."""
        return self.wanted is not None and (self.wanted.location.is_allowed or self.is_fallback_coming)

    def specs(self) -> Iterator[ServerSpec]:
        """Give what their servers are made from."""
        for candidate in (self.wanted, self.fallback):
            if candidate is not None:
                yield candidate.location.spec

    def made_from(self, name: str) -> WantedLocation | None:
        """Return what a server of that name is made from; None if it is no candidate."""
        candidates = (self.wanted, self.fallback)
        return next((one.location for one in candidates if one is not None and one.name == name), None)

    def next_start_at(self, *, there: Collection[str], is_served: bool) -> float | None:
        """Return when a server may be started that is not there; None for never."""
        starts = [self.wanted, self.needed_fallback if not is_served else None]
        return earliest(*(one.next_start_at(there=there) for one in starts if one is not None))

    def want(self, location: WantedLocation | None) -> bool:
        """Change what is wanted, None for nothing; return whether that is another server, or none."""
        if location is None:
            self.wanted = None
            return True
        name = server_name(location.spec)
        before = self.wanted if self.wanted is not None and self.wanted.name == name else None
        trouble = before.trouble if before is not None else TroubleLog(self._timing)
        self.wanted = Candidate(location, name, trouble)
        self.generation = location.spec.generation
        if isinstance(refused := location.verdict, Refused):
            error = LocationRefusedError(location=location.spec.location, rule=refused.rule, problem=refused.problem)
            self.wanted.trouble.refused(FailureNote.of(error).to_proto())
        return before is None

    def note_loaded(self, name: str) -> None:
        """Take notice that a server has its definitions: if it is the wanted one, it is the fallback from now on."""
        if self.wanted is not None and self.wanted.name == name and self.wanted.location.is_allowed:
            self.wanted.trouble.mended()
            self.fallback = replace(self.wanted, trouble=TroubleLog(self._timing))

    def note_broken(self, name: str, breakdown: Breakdown, *, now: float) -> None:
        """Take notice that a server could not load, or died: if it is a candidate, that is its trouble."""
        if self.wanted is not None and self.wanted.name == name and self.wanted.location.is_allowed:
            self.wanted.trouble.add(breakdown, now=now)
        elif self.fallback is not None and self.fallback.name == name:
            self.fallback.trouble.add(breakdown, now=now)
