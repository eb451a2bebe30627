"""Where an attempt is to start: a server that serves many, or one of its own."""

from dataclasses import dataclass

from isthmus_agent.dedicated.server import Lease
from isthmus_agent.servers.held import HeldServer


@dataclass(frozen=True)
class Site:
    """The server that an attempt is to start on."""

    held: HeldServer
    #: Where it is the attempt's own, and was given to it just now.
    lease: Lease | None = None

    @property
    def was_standby(self) -> bool:
        """Whether it was loaded and waiting."""
        return self.lease is not None and self.lease.was_standby

    def keep(self) -> None:
        """Note that the attempt may have started on it: nobody else gets it."""
        if self.lease is not None:
            self.lease.is_kept = True

    def give_back(self) -> None:
        """Note that nothing started on it."""
        if self.lease is not None:
            self.lease.is_kept = False
