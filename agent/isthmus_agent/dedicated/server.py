"""A dedicated server in the hands of its pool, and a launch that waits for one."""

import asyncio
import hashlib
from dataclasses import dataclass, field, replace

from isthmus_agent.dedicated.plan import ServerFacts, Stage, Waiting
from isthmus_agent.desired.container import Limits
from isthmus_agent.hosts.host import ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.run_key import RunKey
from isthmus_agent.servers.held import HeldServer
from isthmus_agent.servers.phase import ServerPhase

_SLOT_CHARS = 12


@dataclass(eq=False)
class DedicatedServer:
    """A server that takes one run."""

    held: HeldServer
    slot: str
    #: The launch that it was started for, while that waits.
    bound_to: "Launch | None" = None
    #: Since when no launch is bound to it, by the event loop's clock.
    free_since: float = 0.0
    is_taken: bool = False
    is_ending: bool = False
    #: Whether its limits were changed for one run: no other gets it.
    is_altered: bool = False
    #: Whether it is as servers are made now, and what that was said of: names are digests, and cost more than a look.
    _fits: tuple[ServerSpec, bool] | None = None
    #: Whether it was found without a run that it must have been meant for, at the last look.
    seems_unused: bool = False

    @property
    def name(self) -> str:
        """Its name on its host."""
        return self.held.name

    @property
    def ready_at(self) -> float:
        """When it became ready, by the event loop's clock; 0 before it did."""
        return self.held.ready_at or 0.0

    @property
    def waits_since(self) -> float | None:
        """Since when it waits for a launch, or loads without one; None while it does not."""
        if self.bound_to is not None or self.stage not in {Stage.LOADING, Stage.READY}:
            return None
        return self.ready_at if self.stage is Stage.READY else self.free_since

    @property
    def stage(self) -> Stage:
        """How far it has come."""
        if self.is_ending:
            return Stage.ENDING
        if self.is_taken:
            return Stage.TAKEN
        match self.held.phase:
            case ServerPhase.LOADING:
                return Stage.LOADING
            case ServerPhase.READY:
                return Stage.READY
            case ServerPhase.BROKEN:
                return Stage.BROKEN

    def facts(self, basis: ServerSpec | None, *, stale_before: float) -> ServerFacts:
        """Return it as the decision sees it, where servers are made from `basis` now."""
        return ServerFacts(
            self.name,
            self.stage,
            fits=basis is not None and not self.is_altered and self._is_made_from(basis),
            bound_to=self.bound_to.key if self.bound_to is not None else None,
            is_stale=self.waits_since is not None and self.waits_since < stale_before,
        )

    def _is_made_from(self, basis: ServerSpec) -> bool:
        if self._fits is None or self._fits[0] is not basis:
            self._fits = (basis, self.name == server_name(replace(basis, slot=self.slot)))
        return self._fits[1]


@dataclass(eq=False)
class Launch:
    """A launch that waits for a server."""

    key: RunKey
    #: What the run may use; the location's own limits where it asks for none.
    limits: Limits
    #: Whether those are its location's, so that a standby has them already.
    has_usual_limits: bool
    #: By the event loop's clock.
    came_at: float
    takes_standby: bool = True
    #: Whether a server is being made fit for it.
    is_served: bool = False
    given: "asyncio.Future[DedicatedServer]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def is_waiting(self) -> bool:
        """Whether it needs a server still."""
        return not self.is_served and not self.given.done()

    @property
    def waiting(self) -> Waiting:
        """It as the decision sees it."""
        return Waiting(self.key, takes_standby=self.takes_standby)

    def withdraw(self) -> None:
        """Give back what came too late."""
        if self.given.done() and not self.given.cancelled() and self.given.exception() is None:
            self.given.result().is_taken = False

    def fail(self, error: Exception) -> None:
        """End the wait with an error; one that has ended already is left as it is."""
        if not self.given.done():
            self.given.set_exception(error)


@dataclass
class Lease:
    """A server that was given to a launch."""

    server: DedicatedServer
    #: It was loaded and waiting when the launch came.
    was_standby: bool
    #: Whether it is the run's: it goes back otherwise. To be set before the run is started, lest it be given twice.
    is_kept: bool = False

    @property
    def held(self) -> HeldServer:
        """The server, to be called."""
        return self.server.held


def launch_slot(key: RunKey, number: int) -> str:
    """Return the slot of a server that is started for a launch: the same whenever the launch is delivered again."""
    digest = hashlib.sha256(f"{key} {number}".encode()).hexdigest()[:_SLOT_CHARS]
    return f"r{digest}"
