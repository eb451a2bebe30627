"""One life of a code server's container, from its creation or adoption to its proven end."""

import asyncio
from pathlib import Path

from isthmus_agent.hosts.docker.places import ServerPlaces
from isthmus_agent.hosts.host import Server
from isthmus_agent.hosts.server_folder import changed_at

#: How much of what a container wrote is kept when it ends, characters.
_KEPT_OUTPUT = 64 * 1024
#: Of how many lives of one server it is kept.
_KEPT_LIVES = 3


class ContainerLife:
    """A container that is watched."""

    def __init__(self, server: Server, *, container: str, places: ServerPlaces, stop_timeout_s: float = 0.0) -> None:
        """Watch a container; `stop_timeout_s` is its own word on how long it may take to end, 0 for none."""
        self.server = server
        self.container = container
        self.places = places
        self.stop_timeout_s = stop_timeout_s
        #: Whether whoever started it has been told: its end is not told before.
        self.launched = asyncio.Event()
        #: Whether its end was heard of.
        self.dying = asyncio.Event()
        #: What came with that word, where something did.
        self.exit_code: int | None = None
        #: Whether it is proven gone.
        self.ended = asyncio.Event()
        #: Whether nothing is left to do about it.
        self.cleared = asyncio.Event()
        self.is_stopping = False
        #: Whether it is being looked at, as it was missing among those that run.
        self.is_looked_after = False
        self.was_memory_short = False

    @property
    def is_ending(self) -> bool:
        """Whether its end was heard of."""
        return self.dying.is_set()

    def __repr__(self) -> str:
        state = "ended" if self.ended.is_set() else "ending" if self.is_ending else "running"
        return f"<ContainerLife {self.server.name} {self.container[:12]} {state}>"

    def keep_output(self, text: str) -> None:
        """Keep the end of what it wrote: the container may be removed at once."""
        folder = self.places.folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        output_path(self.places, self.server).write_text(text[-_KEPT_OUTPUT:], encoding="utf-8")
        older = sorted(folder.glob("*.log"), key=changed_at, reverse=True)[_KEPT_LIVES:]
        for path in older:
            path.unlink(missing_ok=True)


def output_path(places: ServerPlaces, server: Server) -> Path:
    """Return where the output of one life of a server is kept."""
    return places.folder / f"{server.incarnation}.log"
