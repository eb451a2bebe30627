"""The whole system in one process.

Start: broker, and beside it what the agent served last; then control plane and monitor, then the agent, then the
locations. Stop, the other way round: the agent takes nothing new, ends its code servers and says good-bye; the control plane ends its streams; the monitor stores what it
has; the broker stops. What the monitor did not get to waits in the broker's durable queues for the next start.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from isthmus.v1.control_plane_pb2 import Location, LocationSettings
from isthmus.v1.telemetry_pb2 import LocationPhase
from isthmus_broker.settings import BrokerSettings
from isthmus_cli.apply import is_settled
from isthmus_client.client import ControlPlaneClient
from isthmus_client.discovery import DEFAULT_ADDRESS, STATE_FOLDER
from isthmus_client.token import TOKEN_FILE_VARIABLE
from isthmus_control_plane.service import run_control_plane
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_lifecycle.service import until_stopped
from isthmus_monitor.service import run_monitor
from isthmus_monitor.settings import MonitorSettings

from isthmus_dev.agent import begin_agent
from isthmus_dev.broker import Broker
from isthmus_dev.console import begin_console
from isthmus_dev.follow import Follower
from isthmus_dev.part import Part, Service
from isthmus_dev.port import HOST
from isthmus_dev.screen import Screen, failure_lines, loaded_text, ready_lines
from isthmus_dev.settings import AGENT, DEPLOYMENT, DevSettings
from isthmus_dev.watch.reloader import Reloader, WatchedProject, watched_folders
from isthmus_dev.watch.reread import Rereader

#: How long a launch waits for the code that was saved before it; below what the command line allows a call.
_RELOAD_WAIT_S = 10.0


@dataclass
class Stack:
    """What runs on one machine."""

    settings: DevSettings
    screen: Screen
    group: asyncio.TaskGroup
    broker: Broker
    #: Begun already where there is something that it served last.
    agent: Part | None

    async def run(self, *, stop: asyncio.Event, ready: asyncio.Event) -> None:
        """Run everything until `stop` is set; `ready` is set once runs can be launched.

        Raises:
            PartDiedError: A part ended by itself.
            DevError, BrokerError: The start failed. May come within an ExceptionGroup.
        """
        project = WatchedProject(
            {target.name: watched_folders(target) for target in self.settings.targets if self.settings.is_watching},
            ignored=[self.settings.folder.path],
        )
        # Before the code is loaded: what is saved meanwhile may not be in what was loaded.
        looking = self.group.create_task(project.look(), name="first look at the project")
        with self.screen.step("broker") as step:
            await self.broker.wait_started()
            step.facts = self.broker.text
        with self.screen.step("control plane") as step:
            control_plane, address = await self._start_control_plane()
            step.facts = address
        with self.screen.step("monitor"):
            monitor = await self._start_monitor()
        async with ControlPlaneClient(address, deployment=DEPLOYMENT) as client:
            with self.screen.step("agent") as step:
                await client.create_agent(AGENT)
                agent = self.agent or begin_agent(self.group, self.settings, broker=self.broker)
                await agent.started.wait()
                step.facts = AGENT
            await self._limit(client)
            locations = await self._load_all(client)
            # Announced now: who finds the address can launch runs.
            with self.settings.folder.announced(address):
                ready.set()
                self._tell_ready(locations, address=address)
                follower = Follower(client, screen=self.screen, deployment=DEPLOYMENT)
                for location in locations:
                    follower.know(location)
                reloader = Reloader(
                    client=client,
                    screen=self.screen,
                    follower=follower,
                    project=project,
                    since=await looking,
                    load_timeout_s=self.settings.load_timeout_s,
                    rereader=self.settings.find and Rereader.of(self.settings.find, named=self.settings.targets),
                )
                console = begin_console(self.group, self.settings, screen=self.screen, address=address)
                await until_stopped(self._follow(follower, reloader), stop)
            for part in (*console, agent, control_plane, monitor):
                with self.screen.step(part.name):
                    await part.finish()

    async def _follow(self, follower: Follower, reloader: Reloader) -> None:
        """Tell what happens, and load anew what changes."""
        async with asyncio.TaskGroup() as group:
            group.create_task(follower.run(BrokerSettings(url=self.broker.url)))
            if self.settings.is_watching:
                group.create_task(reloader.run())

    async def _start_control_plane(self) -> tuple[Part, str]:
        bound: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        settings = ControlPlaneSettings.model_validate(
            {
                "broker_url": self.broker.url,
                "database_url": self.settings.folder.database_url,
                "listen": f"{HOST}:{self.settings.port}",
                # Who saves and then launches means what was saved.
                "reload_wait_s": _RELOAD_WAIT_S if self.settings.is_watching else 0,
                "api_token_file": os.environ.get(TOKEN_FILE_VARIABLE) or self.settings.folder.token_file,
            },
        )
        part = await self._start(
            "control plane",
            lambda stop, started: run_control_plane(settings, stop=stop, started=started, bound=bound.set_result),
        )
        return part, await bound

    async def _start_monitor(self) -> Part:
        settings = MonitorSettings.model_validate(
            {"broker_url": self.broker.url, "database_url": self.settings.folder.database_url},
        )
        return await self._start(
            "monitor",
            lambda stop, started: until_stopped(run_monitor(settings, started=started), stop),
        )

    async def _start(self, name: str, service: Service) -> Part:
        return await Part.start(self.group, service, name=name, log_file=str(self.settings.folder.log_file))

    async def _limit(self, client: ControlPlaneClient) -> None:
        """Limit the queue as the project's files say; where they say nothing, the limits stay as they are."""
        limits = self.settings.limits
        if limits is None:
            return
        await client.set_queue_settings(limits.settings, requested_by=str(limits.origin))
        lines = [f"  {limits.origin} limits the queue: isthmus queue", *(f"  {note}" for note in limits.notes)]
        self.screen.say(*(self.screen.paint.dim(line) for line in lines))

    async def _load_all(self, client: ControlPlaneClient) -> list[Location]:
        """Apply the locations side by side and tell of each, in the order of the project."""
        targets = self.settings.targets
        if self.settings.origin is not None:
            self.screen.say(self.screen.paint.dim(f"  {self.settings.origin} names {_list_text(targets)}"))
        async with asyncio.TaskGroup() as group:
            loads = [group.create_task(self._load(client, target)) for target in targets]
            for load in loads:
                with self.screen.step("definitions") as step:
                    location = await load
                    step.is_good = location.phase == LocationPhase.LOCATION_PHASE_SERVING
                    name = self.screen.paint.bold(location.settings.name)
                    step.facts = f"{name}: {loaded_text(location)}" if step.is_good else f"{name} does not load"
                self.screen.warn(location)
        return [load.result() for load in loads]

    async def _load(self, client: ControlPlaneClient, target: LocationSettings) -> Location:
        """Apply a location and wait until it serves, or is known not to load."""
        location = await client.apply_location(target)
        generation = location.generation
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.load_timeout_s):
                async for location in client.watch_location(target.name):
                    if is_settled(location, generation=generation):
                        break
        return await client.with_snapshot(location)

    def _tell_ready(self, locations: Sequence[Location], *, address: str) -> None:
        option, paint = self._server_option(address), self.screen.paint
        self.screen.say(*ready_lines(locations, address=address, server_option=option, paint=paint))
        if self.settings.is_watching:
            self.screen.say(paint.dim("Changes of the project's files are loaded as they are saved (--no-watch)."), "")
        for location in locations:
            if location.phase != LocationPhase.LOCATION_PHASE_SERVING:
                self.screen.say(*failure_lines(location, server_option=option, paint=paint))

    def _server_option(self, address: str) -> str:
        """Choose what a person must add so that the command finds us; nothing where it looks by itself."""
        is_found = address == DEFAULT_ADDRESS or self.settings.folder.path.name == STATE_FOLDER
        return "" if is_found else f" --server {address}"


def _list_text(targets: Sequence[LocationSettings]) -> str:
    names = ", ".join(target.name for target in targets)
    return f"{len(targets)} locations: {names}" if len(targets) > 1 else f"location {names}"
