"""Tells the terminal about runs and locations as they change."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from isthmus.v1.control_plane_pb2 import Location, Run, RunState
from isthmus.v1.telemetry_pb2 import LocationPhase
from isthmus_broker.notices import Notice, NoticeListener
from isthmus_broker.settings import BrokerSettings
from isthmus_cli.view.location import load_failure_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.run import target_text, why_text
from isthmus_cli.view.text import duration_text, seconds_between
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import ClientError, NotFoundError
from isthmus_client.resume import is_ended
from isthmus_lifecycle.boundary import Boundary

from isthmus_dev.screen import Screen, loaded_text

#: Runs of which the last state is remembered, so that nothing is told twice.
_REMEMBERED_RUNS = 2000


@dataclass
class _Changes:
    """What notices named and nobody has looked at yet."""

    notice: Notice = field(default_factory=Notice)
    is_there: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, notice: Notice) -> None:
        self.notice |= notice
        self.is_there.set()

    async def take(self) -> Notice:
        await self.is_there.wait()
        self.is_there.clear()
        notice, self.notice = self.notice, Notice()
        return notice


class Follower:
    """Listens to notices and looks up what they name."""

    def __init__(self, client: ControlPlaneClient, *, screen: Screen, deployment: str) -> None:
        self._client = client
        self._screen = screen
        self._deployment = deployment
        self._boundary = Boundary("line about a change")
        self._states: dict[str, int] = {}
        self._locations: dict[str, tuple[int, int]] = {}
        #: Locations of which somebody else tells for the time being.
        self._quiet: set[str] = set()
        #: Those that serve code of before a change that does not load.
        self._stale: set[str] = set()

    def know(self, location: Location) -> None:
        """Take note of what was told about a location already."""
        name = location.settings.name
        self._locations[name] = (location.generation, location.phase)
        is_stale = any(it.report.serving_generation for it in location.placements)
        if location.phase == LocationPhase.LOCATION_PHASE_FAILED and is_stale:
            self._stale.add(name)
        elif location.phase == LocationPhase.LOCATION_PHASE_SERVING:
            self._stale.discard(name)

    @contextmanager
    def quiet(self, name: str) -> Iterator[None]:
        """Say nothing of a location: whoever holds this tells of it."""
        self._quiet.add(name)
        try:
            yield
        finally:
            self._quiet.discard(name)

    async def run(self, broker: BrokerSettings) -> None:
        """Follow until cancelled."""
        changes = _Changes()
        async with asyncio.TaskGroup() as group:
            group.create_task(NoticeListener(broker, on_notice=changes.add).run())
            while True:
                await self.look(await changes.take())

    async def look(self, notice: Notice) -> None:
        """Tell of each thing that changed; what cannot be told concerns its own line."""
        for run_id in sorted(notice.runs):
            with self._boundary.guard(run_id=run_id):
                await self._look_at_run(run_id)
        for place in sorted(notice.locations):
            deployment, _, name = place.partition("/")
            if deployment == self._deployment:
                with self._boundary.guard(location=name):
                    await self._look_at_location(name)

    async def _look_at_run(self, run_id: str) -> None:
        try:
            run = await self._client.get_run(run_id)
        except ClientError:  # Another deployment's, or the control plane is stopping.
            return
        before = self._states.get(run_id)
        if before == run.state:
            return
        self._states[run_id] = run.state
        if len(self._states) > _REMEMBERED_RUNS:
            del self._states[next(iter(self._states))]
        text = run_text(run, paint=self._screen.paint)
        if text:
            # Said with the first line about it: a short run may have ended before anybody looked.
            is_begun_stale = before != RunState.RUN_STATE_RUNNING and run.request.location in self._stale
            self._screen.happened(text + (", the code before the change that does not load" if is_begun_stale else ""))

    async def _look_at_location(self, name: str) -> None:
        try:
            location = await self._client.get_location(name)
        except NotFoundError:
            if self._locations.pop(name, None):
                self._screen.happened(f"location {name} removed")
            return
        except ClientError:
            return
        if name not in self._quiet and self._locations.get(name) != (location.generation, location.phase):
            self.know(location)
            self._tell(location)

    def _tell(self, location: Location) -> None:
        paint, phase = self._screen.paint, location.phase
        facts = f"location {location.settings.name}: {paint.phase(phase)}, generation {location.generation}"
        is_serving = phase == LocationPhase.LOCATION_PHASE_SERVING
        self._screen.happened(f"{facts}, {loaded_text(location)}" if is_serving else facts)
        self._screen.say(*load_failure_lines(location, paint=paint))
        self._screen.warn(location)


def run_text(run: Run, *, paint: Paint) -> str:
    """Tell that a run started or ended; empty for every other state."""
    name = f"{paint.dim(run.request.run.run_id)}  {target_text(run)}"
    if is_ended(run):
        took = (
            f" in {duration_text(seconds_between(run.started_at, run.ended_at))}" if run.HasField("started_at") else ""
        )
        why = why_text(run)
        return f"{name}  {paint.run_state(run.state)}{took}{': ' if why else ''}{why}"
    return f"{name}  {paint.run_state(run.state)}" if run.state == RunState.RUN_STATE_RUNNING else ""
