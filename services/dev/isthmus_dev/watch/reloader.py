"""Loads locations anew after changes of their files, while the code before goes on serving."""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from isthmus.v1.control_plane_pb2 import Location, LocationSettings
from isthmus.v1.telemetry_pb2 import Failure, LocationPhase
from isthmus_cli.apply import is_settled
from isthmus_cli.view.failure import failure_headline
from isthmus_cli.view.location import load_failure_lines
from isthmus_cli.view.text import duration_text
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import ClientError
from isthmus_lifecycle.boundary import Boundary

from isthmus_dev.follow import Follower
from isthmus_dev.screen import Screen, loaded_text
from isthmus_dev.watch.reread import Rereader
from isthmus_dev.watch.tree import Tree, look
from isthmus_dev.watch.watcher import watch

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_FOREIGN = re.compile(r"^<|/site-packages/|/lib/python3|/isthmus_code_server/")


@dataclass(frozen=True)
class WatchedProject:
    """What is watched."""

    #: The folders of each location.
    roots: Mapping[str, Sequence[Path]]
    #: Folders that belong to us.
    ignored: Sequence[Path]

    @property
    def folders(self) -> list[Path]:
        """The folders of all locations, each once."""
        return sorted({folder for folders in self.roots.values() for folder in folders})

    async def look(self) -> Tree:
        """Read how its code stands now."""
        return await asyncio.to_thread(look, self.folders, ignored=self.ignored)


@dataclass
class Reloader:
    """Watches the folders of locations, and loads those anew whose files changed, and those that the project names anew."""

    client: ControlPlaneClient
    screen: Screen
    follower: Follower
    project: WatchedProject
    #: How the project's code stood before it was loaded: what is saved while it loads is a change.
    since: Tree
    load_timeout_s: float
    #: None where options named the locations: then no file does.
    rereader: Rereader | None = None
    _boundary: Boundary = field(default_factory=lambda: Boundary("reload"))
    _under_way: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)
    _roots: dict[str, Sequence[Path]] = field(default_factory=dict)

    async def run(self) -> None:
        """Watch until cancelled. What cannot be watched is said once, and nothing else ends with it."""
        self._roots = dict(self.project.roots)
        async with asyncio.TaskGroup() as group:
            await self._watch(self.project, since=self.since, group=group)

    async def _watch(self, project: WatchedProject, *, since: Tree, group: asyncio.TaskGroup) -> None:
        with self._boundary.guard() as fate:
            async for changed in watch(project.folders, ignored=project.ignored, since=since):
                new = await self._new_locations(changed, group=group)
                for name in affected(changed, roots=self._roots):
                    if name not in new:
                        self._begin(name, group=group)
        if fate.error is not None:
            self.screen.happened(f"files are not watched any more: {fate.error}; use isthmus location reload")

    async def _new_locations(self, changed: Iterable[Path], *, group: asyncio.TaskGroup) -> Collection[str]:
        """Load what the project names anew, and watch where it lies; returns the names."""
        news = await self.rereader.news(changed, tell=self.screen.happened) if self.rereader is not None else []
        for settings in news:
            watched = [folder for folders in self._roots.values() for folder in folders]
            folders = watched_folders(settings)
            self._roots[settings.name] = folders
            beyond = [it for it in folders if not any(it.is_relative_to(other) for other in watched)]
            if beyond:
                more = WatchedProject({settings.name: beyond}, ignored=self.project.ignored)
                group.create_task(self._watch(more, since=await more.look(), group=group))
            self._begin(settings.name, settings=settings, group=group)
        return {settings.name for settings in news}

    def _begin(self, name: str, *, group: asyncio.TaskGroup, settings: LocationSettings | None = None) -> None:
        """Load a location anew; an earlier reload that still waits is overtaken by this one."""
        earlier = self._under_way.get(name)
        if earlier is not None:
            earlier.cancel()
        self._under_way[name] = group.create_task(self._reload(name, settings), name=f"reload {name}")

    async def _reload(self, name: str, settings: LocationSettings | None) -> None:
        with self._boundary.guard(location=name), suppress(ClientError):
            began = monotonic()
            with self.follower.quiet(name):
                location = await self._load(settings or (await self.client.get_location(name)).settings)
            self.follower.know(location)
            self._tell(location, took=duration_text(monotonic() - began))

    async def _load(self, settings: LocationSettings) -> Location:
        location = await self.client.apply_location(settings, reload=True)
        generation = location.generation
        with suppress(TimeoutError):
            async with asyncio.timeout(self.load_timeout_s):
                async for location in self.client.watch_location(settings.name):
                    if is_settled(location, generation=generation):
                        break
        return await self.client.with_snapshot(location)

    def _tell(self, location: Location, *, took: str) -> None:
        name, paint = self.screen.paint.bold(location.settings.name), self.screen.paint
        again = "re" if location.generation > 1 else ""
        if location.phase == LocationPhase.LOCATION_PHASE_FAILED:
            failure = next(it.report.failure for it in location.placements if it.report.HasField("failure"))
            where = failure_place(failure)
            text = f"{failure_headline(innermost(failure))}{f' ({where})' if where else ''}"
            self.screen.say(*load_failure_lines(location, paint=paint))
            serving = "; the code before goes on serving" if again else ""
            self.screen.happened(f"{paint.red(f'not {again}loaded')} {name}: {text}{serving}")
        else:
            self.screen.happened(f"{again}loaded {name} in {took}: {loaded_text(location)}")
            self.screen.warn(location)


def affected(changed: Iterable[Path], *, roots: Mapping[str, Sequence[Path]]) -> list[str]:
    """Return the locations in whose folders files changed."""
    paths = list(changed)
    return [name for name, folders in roots.items() if any(path.is_relative_to(it) for path in paths for it in folders)]


def watched_folders(settings: LocationSettings) -> list[Path]:
    """Return the folders that hold a location's code: where it is imported from, and where it was started."""
    source = settings.source
    named = [source.working_directory, source.current_directory]
    named += [str(Path(source.python_file).parent)] if source.python_file else []
    folders = sorted({Path(folder) for folder in named if Path(folder).is_absolute()})
    return [it for it in folders if not any(it != other and it.is_relative_to(other) for other in folders)]


def innermost(failure: Failure) -> Failure:
    """Return the failure that began it: what it was caused by, or the failure itself."""
    while failure.HasField("cause"):
        failure = failure.cause
    return failure


def failure_place(failure: Failure) -> str:
    """Return file and line of the innermost frame of the user's own, of what began it; empty when there is none."""
    began = innermost(failure)
    # A file that cannot be parsed has no frame of its own: the message names it.
    for text in (*reversed(began.message.splitlines()), *reversed(began.stack)):
        frame = _FRAME.search(text)
        if frame is not None and not _FOREIGN.search(frame["file"]):
            return f"{frame['file']}:{frame['line']}"
    return ""
