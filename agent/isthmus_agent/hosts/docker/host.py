"""The docker host: a code server is a container of its own, known again by its labels."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import keep_going
from isthmus_lifecycle.log import get_logger

from isthmus_agent.desired.container import Limits
from isthmus_agent.desired.location import Isolation
from isthmus_agent.errors import AgentError
from isthmus_agent.hosts.docker.body import effective_limits, limits_body
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.fleet import Fleet
from isthmus_agent.hosts.docker.images import Images
from isthmus_agent.hosts.docker.labels import Owner
from isthmus_agent.hosts.docker.launch import Dock
from isthmus_agent.hosts.docker.life import ContainerLife, output_path
from isthmus_agent.hosts.docker.options import DockerOptions
from isthmus_agent.hosts.docker.places import find_places, own_container
from isthmus_agent.hosts.docker.pulled import PulledImages
from isthmus_agent.hosts.docker.replies import ContainerLimits
from isthmus_agent.hosts.docker.user import Users
from isthmus_agent.hosts.errors import (
    DataFolderUnfitError,
    EngineRefusedError,
    EngineUnavailableError,
    ServerStartError,
)
from isthmus_agent.hosts.host import OnStep, Server, ServerExit, ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.hosts.server_folder import read_tail
from isthmus_agent.hosts.tasks import OwnTasks

log = get_logger(__name__)

#: How long a kill may take to show before the engine is asked again, seconds.
_KILL_PATIENCE_S = 2.0
#: How often the engine is asked for all containers before it is given up, and the waits in between, seconds.
_LIST_TRIES = 5
_LIST_RETRY_MIN_S, _LIST_RETRY_MAX_S = 0.2, 5.0
#: How often it is looked for images that nothing is started from, seconds.
_IMAGES_INTERVAL_S = 600.0
_NANO = 1_000_000_000


class DockerHost:
    """Code servers as containers of one engine."""

    #: Where runs execute when neither they nor their location say so.
    default_isolation = Isolation.DEDICATED

    def __init__(self, options: DockerOptions, *, data_dir: Path, deployment: str, agent: str) -> None:
        """Keep the files that containers share with the agent in `data_dir`, which one agent uses at a time."""
        self._options = options
        self._data_dir = data_dir
        self._deployment = deployment
        self._agent = agent
        self._stack = AsyncExitStack()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._exits: asyncio.Queue[ServerExit] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        """Connect to the engine.

        Raises:
            EngineUnavailableError: it does not answer.
            DataFolderUnfitError: containers cannot be given what lies in the data folder.
        """
        async with AsyncExitStack() as stack:
            engine = await stack.enter_async_context(
                Engine.open(self._options.url, call_timeout_s=self._options.call_timeout_s)
            )
            container = self._options.container or own_container()
            places = await find_places(engine, data_dir=self._data_dir, container=container)
            places.prepare()
            owner = Owner(self._deployment, self._agent, places.engine_data_dir)
            engine_facts = await engine.info()
            users = Users(
                os.geteuid(),
                os.getegid(),
                is_rootless=engine_facts.is_rootless,
                are_mapped=engine_facts.has_users_of_its_own,
            )
            tasks = (await stack.enter_async_context(OwnTasks())).group
            kept_s = self._options.superseded_images_kept_s
            self._pulled = PulledImages(engine, file=self._data_dir / "images.json", kept_s=kept_s)
            images = Images(engine, options=self._options, tasks=tasks, pulled=self._pulled)
            tasks.create_task(keep_going(self._tidy_images, name="images"), name="images")
            self._dock = Dock(engine, images, self._options, owner, places, users)
            self._fleet = Fleet(self._dock, tasks=tasks, on_exit=self._exits.put_nowait)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def start(self, spec: ServerSpec, *, on_step: OnStep = lambda _step, _progress: None) -> Server:
        """Start a code server, or return the one that runs already; see `Host.start`."""
        name = server_name(spec)
        # Held by those who wait, so that no lock is kept for names that nobody uses any more.
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            life = self._fleet.find(name)
            if life is not None and not life.is_ending:
                return life.server
            if life is not None:
                await life.ended.wait()
            try:
                life = await self._launch(spec, name=name, on_step=on_step)
            except (EngineUnavailableError, EngineRefusedError, DataFolderUnfitError) as error:
                raise ServerStartError(server=name, problem=str(error).rstrip(".")) from error
            # No pause from here to the caller: its end, however soon, is told only to who knows of its beginning.
            life.launched.set()
            return life.server

    async def stop(self, server: Server, *, grace_s: float) -> None:
        """End a code server and everything in its container; see `Host.stop`."""
        life = self._fleet.find(server.name)
        if life is None or life.server.incarnation != server.incarnation:
            return
        life.is_stopping = True
        if not await self._signal(life, "SIGTERM", patience_s=life.stop_timeout_s or grace_s):
            log.warning("server_killed", server=server.name, grace_s=life.stop_timeout_s or grace_s)
            while not await self._signal(life, "SIGKILL", patience_s=_KILL_PATIENCE_S):  # pauses: for the engine
                # The word of its death was lost, or the engine is away.
                await self._fleet.look_after(life)
        await life.cleared.wait()

    async def list(self) -> Sequence[Server]:
        """Return the servers that run; see `Host.list`."""
        backoff = Backoff(_LIST_RETRY_MIN_S, _LIST_RETRY_MAX_S)
        for tries_left in reversed(range(_LIST_TRIES)):
            try:
                await self._fleet.adopt_all()
                break
            except AgentError as error:
                if not tries_left:
                    raise
                log.warning("containers_not_listed", problem=str(error))
                await asyncio.sleep(backoff.next_wait_s())
        return self._fleet.running()

    async def watch(self) -> AsyncGenerator[ServerExit, None]:
        """Tell of each exit once; see `Host.watch`."""
        while True:
            yield await self._exits.get()

    async def set_limits(self, server: Server, limits: Limits) -> bool:
        """Change what a running server may use; see `Host.set_limits`."""
        life = self._living(server)
        if life is None:
            return False
        wanted = effective_limits(limits, defaults=self._options.limits)
        try:
            container = await self._dock.engine.inspect(life.container)
            if container is None or not can_change(container.limits, wanted):
                return False
            if (body := limits_body(wanted)) and not is_limited_so(container.limits, wanted):
                await self._dock.engine.update(life.container, body=body)
        except AgentError as error:
            log.warning("limits_not_changed", server=server.name, problem=str(error))
            return False
        return True

    async def memory_bytes(self, server: Server) -> int:
        """Return what a server holds in memory; see `Host.memory_bytes`."""
        life = self._living(server)
        if life is None:
            return 0
        with suppress(AgentError):
            return (await self._dock.engine.stats(life.container)).memory_bytes
        return 0

    async def tail(self, server: Server, *, max_bytes: int) -> str:
        """Return the end of what the server wrote; see `Host.tail`."""
        life = self._living(server)
        if life is not None:
            with suppress(AgentError):
                text = await self._dock.engine.output(life.container)
                return text.encode()[-max_bytes:].decode(errors="replace")
        places = self._dock.places.of(server.name, location=server.location)
        return await asyncio.to_thread(read_tail, output_path(places, server), max_bytes=max_bytes)

    async def clear(self, *, grace_s: float) -> None:
        """End every server, and remove the containers that were kept to be looked at; see `Host.clear`."""
        async with asyncio.TaskGroup() as tasks:
            for server in await self.list():
                tasks.create_task(self.stop(server, grace_s=grace_s))
        for listed in await self._dock.engine.list(self._dock.owner.labels):
            await self._dock.engine.remove(listed.id)

    def note_wanted(self, specs: Iterable[ServerSpec]) -> None:
        """Take notice of all that servers may be started from; see `Host.note_wanted`."""
        self._pulled.want({spec.container.image for spec in specs if spec.container.image})

    async def _tidy_images(self) -> None:
        await asyncio.sleep(_IMAGES_INTERVAL_S)
        try:
            await self._pulled.tidy()
        except AgentError as error:
            log.warning("images_not_tidied", problem=str(error))

    async def _launch(self, spec: ServerSpec, *, name: str, on_step: OnStep) -> ContainerLife:
        with self._fleet.expecting(name):
            return await self._dock.launch(spec, on_step=on_step, register=self._fleet.add)

    def _living(self, server: Server) -> ContainerLife | None:
        life = self._fleet.find(server.name)
        return life if life is not None and life.server.incarnation == server.incarnation else None

    async def _signal(self, life: ContainerLife, signal: str, *, patience_s: float) -> bool:
        """Send a signal and wait; True when the container is gone."""
        try:
            await self._dock.engine.kill(life.container, signal=signal)
        except AgentError as error:
            # Whatever it says, the container is gone when that is seen, and not before.
            log.warning("container_not_signaled", server=life.server.name, signal=signal, problem=str(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await life.ended.wait()
        return life.ended.is_set()


def can_change(now: ContainerLimits, wanted: Limits) -> bool:
    """Whether a running container can be given these limits: the engine takes none of them off again."""
    return not (
        (now.memory and not wanted.memory_bytes)
        or (now.nano_cpus and not wanted.cpus)
        or ((now.pids or 0) > 0 and not wanted.pids)
    )


def is_limited_so(now: ContainerLimits, wanted: Limits) -> bool:
    """Whether a container has these limits already."""
    return (now.memory, now.nano_cpus, max(now.pids or 0, 0)) == (
        wanted.memory_bytes,
        round(wanted.cpus * _NANO),
        wanted.pids,
    )
