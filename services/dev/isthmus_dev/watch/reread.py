"""Finds out which locations a project's files name anew while `isthmus dev` runs."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.v1.control_plane_pb2 import LocationSettings
from isthmus_cli.errors import InputError

from isthmus_dev.errors import DevError

#: Files that name a project's locations.
_NAMES = frozenset({"workspace.yaml", "workspace.yml", "pyproject.toml", "dg.toml"})


@dataclass
class Rereader:
    """Keeps what the project's files named last."""

    #: Reads them; raises InputError or DevError where they are wrong.
    find: Callable[[], Sequence[LocationSettings]]
    named: dict[str, LocationSettings]

    @classmethod
    def of(cls, find: Callable[[], Sequence[LocationSettings]], *, named: Iterable[LocationSettings]) -> "Rereader":
        """Begin with the locations that were named at the start."""
        return cls(find, named={location.name: location for location in named})

    async def news(self, changed: Iterable[Path], *, tell: Callable[[str], None]) -> list[LocationSettings]:
        """Return the locations that are new or named otherwise; of those that are named no more, and of mistakes, tell.

        A location that is named no more is kept: its runs, and what it has on its schedule, are not ours to end.
        """
        if not any(path.name in _NAMES for path in changed):
            return []
        try:
            found = {location.name: location for location in await asyncio.to_thread(self.find)}
        except (InputError, DevError) as error:
            tell(f"the project's locations stay as they were: {error}")
            return []
        for name in self.named.keys() - found.keys():
            tell(f"{name} is named no more; to forget it: isthmus location remove {name}")
        news = [location for name, location in found.items() if self.named.get(name) != location]
        self.named = found
        return news
