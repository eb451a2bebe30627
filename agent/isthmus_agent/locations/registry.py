"""All locations of the agent: takes the desired set, keeps it, and knows which server is to be asked."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from isthmus.v1 import instruction_pb2 as instruction
from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger

from isthmus_agent.dedicated.placement import Placement, TagFault, placement_of
from isthmus_agent.dedicated.server import Lease
from isthmus_agent.desired.container import Limits
from isthmus_agent.errors import LocationUnavailableError
from isthmus_agent.hosts.host import Host, Server, ServerExit
from isthmus_agent.locations.admission import admit
from isthmus_agent.locations.desired import DesiredFile
from isthmus_agent.locations.keeper import LocationKeeper
from isthmus_agent.locations.listeners import Listeners, ServingGeneration
from isthmus_agent.locations.patience import patience
from isthmus_agent.locations.settings import RegistrySettings
from isthmus_agent.policy.judge import judge_run
from isthmus_agent.policy.verdict import Refused
from isthmus_agent.run_key import RunKey
from isthmus_agent.servers.held import HeldServer
from isthmus_agent.servers.launcher import ServerLauncher

log = get_logger(__name__)

#: How much of a server's output explains its death, bytes.
_TAIL_BYTES = 8 * 1024
#: How much longer than its grace the end of a server may take before it is left alone, seconds.
_END_PATIENCE_S = 30.0
#: How often it is looked what idle dedicated servers cost, seconds.
_LOOK_INTERVAL_S = 30.0


class LocationRegistry:
    """The locations of one agent."""

    def __init__(
        self, settings: RegistrySettings, *, host: Host, tasks: asyncio.TaskGroup, listeners: Listeners
    ) -> None:
        """Keep locations on `host`, each as one of `tasks`."""
        self._settings = settings
        self._host = host
        self._tasks = tasks
        self._listeners = listeners
        self._desired_file = DesiredFile(settings.data_dir / "desired.binpb")
        self._keepers: dict[str, LocationKeeper] = {}
        self._revision = 0
        self._boundary = Boundary("location")

    @property
    def revision(self) -> int:
        """The revision of the desired set that the agent works towards."""
        return self._revision

    def runs_dir(self, location: str) -> Path:
        """Return the folder that holds the attempts of a location."""
        return self._settings.runs_dir(location)

    def begin(self, running: Sequence[Server], *, holding: Collection[str] = ()) -> None:
        """Take over the servers that run, then work towards the desired set as it was last known.

        Args:
            running: the servers.
            holding: the lives among them that hold runs.
        """
        for server in running:
            with self._boundary.guard(location=server.location, server=server.name):
                keeper = self._keeper(server.location)
                if server.is_dedicated:
                    keeper.pool.servers.adopt(server, is_taken=server.incarnation in holding)
                else:
                    keeper.shared.adopt(server)
        desired = self._desired_file.load()
        self._revision = desired.revision
        self._apply(desired)

    def sync(self, desired: instruction.SyncLocations) -> tuple[str, ...]:
        """Work towards a new desired set, unless it is older than the last; return the names that cannot be served.

        Takes effect before anything else can run, and is on the disk when this returns: a launch that was sent behind
        it finds its location known.
        """
        if desired.revision < self._revision:
            log.info("desired_locations_outdated", revision=desired.revision, known=self._revision)
            return ()
        self._revision = desired.revision
        self._desired_file.save(desired)
        return self._apply(desired)

    def load_timeout_s(self, location: str) -> float:
        """Return how long an import of a location may take; 0 for one that is not known."""
        keeper = self._keepers.get(location)
        return keeper.wanted.load_timeout_s if keeper is not None and keeper.wanted is not None else 0.0

    async def serving(self, location: str, *, within_s: float) -> HeldServer:
        """Return the server that answers for a location, waiting for it to load.

        Raises:
            LocationRefusedError: the policy does not allow the location.
            LocationUnavailableError: it is not known, could not be loaded, or not in time.
        """
        keeper = self._known(location)
        async with patience(keeper, within_s=within_s):
            return await keeper.wait_serving()

    @asynccontextmanager
    async def dedicated(self, location: str, key: RunKey, *, limits: Limits, within_s: float) -> AsyncIterator[Lease]:
        """Give a run a server of its own while the context is entered, and for good if the lease is kept.

        Args:
            location: whose definitions the run needs.
            key: the run.
            limits: what it asks for; 0 for what its location has.
            within_s: how long that may take.

        Raises:
            LocationRefusedError: the policy does not allow the location.
            LocationUnavailableError: it is not known, could not be loaded, or not in time.
            ImageUnavailableError, ServerStartError, DedicatedServerLostError: the run's own server did not come up.
        """
        clock = asyncio.get_running_loop().time
        keeper, deadline = self._known(location), clock() + within_s
        async with patience(keeper, within_s=within_s):
            pool = await keeper.wait_pool()
        async with pool.lease(key, limits=limits, within_s=max(0.0, deadline - clock())) as lease:
            yield lease
        keeper.touch()

    async def wait_known(self, location: str, *, within_s: float) -> None:
        """Wait until it is known what a location defines; one that sleeps is not woken.

        Raises:
            LocationRefusedError, LocationUnavailableError: as `serving` does.
        """
        keeper = self._known(location)
        async with patience(keeper, within_s=within_s):
            await keeper.wait_known()

    def placement_of(self, request: instruction.RunRequest) -> Placement | tuple[TagFault, ...] | Refused:
        """Decide where a run executes, or say what keeps it from executing: its tags, or the agent's owner."""
        keeper = self._keepers.get(request.location)
        wanted = keeper.wanted if keeper is not None else None
        described = keeper.shared.description if keeper is not None else None
        jobs = described.snapshot.jobs if described is not None else ()
        tags = next((dict(job.tags) for job in jobs if job.name == request.job_name), {})
        placement = placement_of(
            {**tags, **request.tags},
            location=wanted.isolation if wanted is not None else None,
            host=self._host.default_isolation,
        )
        if not isinstance(placement, Placement):
            return placement
        verdict = judge_run(self._settings.policy, limits=placement.limits, isolation=placement.isolation)
        return verdict if isinstance(verdict, Refused) else placement

    async def run(self) -> None:
        """Look from time to time what idle servers cost, until cancelled."""
        await keep_going(self._look, name="idle servers")

    async def _look(self) -> None:
        for keeper in list(self._keepers.values()):
            with self._boundary.guard(location=keeper.name):
                await keeper.pool.servers.look()
        self._host.note_wanted(spec for keeper in self._keepers.values() for spec in keeper.specs())
        await asyncio.sleep(_LOOK_INTERVAL_S)

    def servers(self) -> Iterator[HeldServer]:
        """Give every server that has a process or is about to get one."""
        for keeper in self._keepers.values():
            yield from keeper.servers()

    def find(self, incarnation: str) -> HeldServer | None:
        """Return the server of that life if it is still held."""
        return next((held for held in self.servers() if held.incarnation == incarnation), None)

    def serving_generations(self) -> list[ServingGeneration]:
        """Return what serves, by name of location."""
        return [
            ServingGeneration(name, keeper.serving_generation, keeper.pool.state)
            for name, keeper in sorted(self._keepers.items())
            if keeper.serving_generation
        ]

    async def note_exit(self, ending: ServerExit) -> str:
        """Take notice that a server is gone; return the end of what it wrote."""
        output = ""
        with self._boundary.guard(location=ending.server.location, server=ending.server.name):
            if not (ending.server.is_dedicated and ending.exit_code == 0):
                output = await self._host.tail(ending.server, max_bytes=_TAIL_BYTES)
        keeper = self._keepers.get(ending.server.location)
        with self._boundary.guard(location=ending.server.location, server=ending.server.name):
            if keeper is not None and ending.server.is_dedicated:
                keeper.pool.servers.note_exit(ending, output=output)
            elif keeper is not None:
                keeper.shared.note_exit(ending, output=output)
        return output

    async def stop_all(self, *, grace_s: float) -> None:
        """End every server, and with it every run; those that do not end in time are left, with a word in the log."""
        async with asyncio.TaskGroup() as tasks:
            for held in self.servers():
                if held.server is not None:
                    tasks.create_task(self._stop(held.server, grace_s=grace_s))

    async def _stop(self, server: Server, *, grace_s: float) -> None:
        with self._boundary.guard(location=server.location, server=server.name):
            async with asyncio.timeout(grace_s + _END_PATIENCE_S):
                await self._host.stop(server, grace_s=grace_s)

    async def close(self) -> None:
        """Close the ways to the servers; they go on."""
        for held in self.servers():
            await held.close()

    def _apply(self, desired: instruction.SyncLocations) -> tuple[str, ...]:
        admission = admit(desired.locations, settings=self._settings, boundary=self._boundary)
        # What is refused now goes on as it was.
        for name in admission.wanted.keys() | (self._keepers.keys() - set(admission.refused)):
            with self._boundary.guard(location=name):
                self._keeper(name).want(admission.wanted.get(name))
        self._listeners.want_branches(tuple(desired.branches))
        return tuple(admission.refused)

    def _known(self, location: str) -> LocationKeeper:
        keeper = self._keepers.get(location)
        if keeper is None:
            raise LocationUnavailableError(location=location, problem="it is not one of the agent's locations")
        return keeper

    def _keeper(self, name: str) -> LocationKeeper:
        keeper = self._keepers.get(name)
        if keeper is None:
            launcher = ServerLauncher(
                name,
                host=self._host,
                tasks=self._tasks,
                timing=self._settings.timing,
                on_attached=lambda held: self._listeners.attend(held, name),
            )
            keeper = self._keepers[name] = LocationKeeper(
                launcher, report=self._listeners.report, on_serving_change=self._listeners.on_serving_change
            )
            self._tasks.create_task(self._keep(keeper), name=f"location {name}")
        return keeper

    async def _keep(self, keeper: LocationKeeper) -> None:
        await keeper.run()
        # No pause since `run` found nothing wanted and nothing left: nobody can have asked for it again in between.
        del self._keepers[keeper.name]
