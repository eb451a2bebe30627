"""The containers that are watched: who lives, whose end is being proven, and what is swept up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import AgentError
from isthmus_agent.hosts.docker import events
from isthmus_agent.hosts.docker.ending import Fate, Remains, exit_of, fate_of
from isthmus_agent.hosts.docker.launch import Dock
from isthmus_agent.hosts.docker.life import ContainerLife
from isthmus_agent.hosts.docker.places import clear_shared
from isthmus_agent.hosts.docker.replies import Container, EngineEvent
from isthmus_agent.hosts.host import Server, ServerExit
from isthmus_agent.hosts.server_folder import folders_in, remove_old_folders

log = get_logger(__name__)

#: How often all containers are looked at though nothing was told, seconds.
_SWEEP_EVERY_S = 30.0
#: First and longest wait before an engine that did not answer is asked again, seconds.
_RETRY_S, _RETRY_MAX_S = 0.5, 5.0

T = TypeVar("T")


class Fleet:
    """The containers of one agent."""

    def __init__(self, dock: Dock, *, tasks: asyncio.TaskGroup, on_exit: Callable[[ServerExit], None]) -> None:
        """Watch containers, with all that takes time as `tasks`; `on_exit` is called once per life."""
        self._dock = dock
        self._tasks = tasks
        self._on_exit = on_exit
        self._lives: dict[str, ContainerLife] = {}
        self._by_container: dict[str, ContainerLife] = {}
        #: Servers that are being started: their folders are not swept up.
        self._expected: set[str] = set()
        self._has_adopted = False
        self._boundary = Boundary("container")
        stream = events.EventStream(
            dock.engine, labels=dock.owner.labels, on_event=self._on_event, reconcile=self._reconcile
        )
        tasks.create_task(stream.run(), name="engine events")
        tasks.create_task(keep_going(self._sweep_and_rest, name="engine sweep"), name="engine sweep")

    def find(self, server: str) -> ContainerLife | None:
        """Return the life of a server whose end was not told."""
        return self._lives.get(server)

    def running(self) -> Sequence[Server]:
        """Return the servers whose containers run, as far as is known."""
        return [life.server for life in self._lives.values() if life.launched.is_set() and not life.is_ending]

    @contextmanager
    def expecting(self, server: str) -> Iterator[None]:
        """Leave alone what is made for a server while it is started; without a life at the end, forget it."""
        self._expected.add(server)
        try:
            yield
        except BaseException:
            if (life := self._lives.get(server)) is not None and not life.launched.is_set():
                self._forget(life)
            raise
        finally:
            self._expected.discard(server)

    def add(self, life: ContainerLife) -> None:
        """Watch a container from now on."""
        self._lives[life.server.name] = self._by_container[life.container] = life

    async def adopt_all(self) -> None:
        """Watch every container of this agent that runs, and see to those that ended unseen."""
        for listed in await self._dock.engine.list(self._dock.owner.labels):
            life = self._by_container.get(listed.id)
            if listed.is_running and life is None:
                with self._boundary.guard(container=listed.id[:12]):
                    await self._adopt(listed.id)
            elif not listed.is_running and life is not None:
                self._begin_end(life, code=None)
        if not self._has_adopted:
            self._has_adopted = True
            self._clear_folders()

    async def look_after(self, life: ContainerLife) -> None:
        """See for ourselves whether a container still runs."""
        try:
            container = await self._dock.engine.inspect(life.container)
        except AgentError as error:
            log.warning("container_not_looked_at", server=life.server.name, problem=str(error))
            await asyncio.sleep(_RETRY_S)
            return
        if container is None or not container.state.is_running:
            self._begin_end(life, code=None)

    def _on_event(self, event: EngineEvent) -> None:
        life = self._by_container.get(event.actor.id)
        if life is None:
            return
        if event.action == events.OUT_OF_MEMORY:
            life.was_memory_short = True
        elif event.action == events.DIE:
            self._begin_end(life, code=event.exit_code)

    async def _reconcile(self) -> None:
        """Find the ends that nobody told of."""
        listed = await self._dock.engine.list(self._dock.owner.labels)
        running = {container.id for container in listed if container.is_running}
        for life in list(self._lives.values()):
            # One that is being started does not run yet.
            if life.container not in running and life.launched.is_set() and not life.is_looked_after:
                life.is_looked_after = True
                self._tasks.create_task(self._look(life), name=f"look {life.server.name}")

    async def _look(self, life: ContainerLife) -> None:
        with self._boundary.guard(server=life.server.name):
            await self.look_after(life)
        life.is_looked_after = False

    async def _adopt(self, container: str) -> None:
        found = await self._dock.engine.inspect(container)
        if found is not None and found.state.is_running and (life := self._dock.adopt(found)):
            if life.server.name in self._lives or life.server.name in self._expected:
                return
            self.add(life)

    # --------------------------------------------------------------------------------------------------- how they end

    def _begin_end(self, life: ContainerLife, *, code: int | None) -> None:
        if not life.is_ending:
            life.exit_code = code
            life.dying.set()
            self._tasks.create_task(self._end(life), name=f"end {life.server.name}")

    async def _end(self, life: ContainerLife) -> None:
        """Prove the end of a container, tell it, and tidy up."""
        await life.launched.wait()
        if self._by_container.get(life.container) is not life:
            # Its start failed; whoever wanted it was told so.
            return
        container: Container | None = None
        with self._boundary.guard(server=life.server.name):
            container = await self._look_back(life)
        self._tell_end(life, container=container)
        if container is not None:
            is_wanted = bool(life.exit_code) and not life.is_stopping and not container.state.is_running
            with self._boundary.guard(server=life.server.name), suppress(AgentError):
                # What stays behind is swept up.
                await self._dock.put_aside(container, is_wanted=is_wanted)
        life.cleared.set()

    def _tell_end(self, life: ContainerLife, *, container: Container | None) -> None:
        if container is not None and not container.state.is_running:
            life.exit_code = container.state.exit_code
        was_memory_short = life.was_memory_short or (container is not None and container.state.was_memory_short)
        life.places.clear()
        self._forget(life)
        life.ended.set()
        self._on_exit(exit_of(life.server, code=life.exit_code, was_memory_short=was_memory_short))

    async def _look_back(self, life: ContainerLife) -> Container | None:
        """Return what the engine still knows of a container that died, and keep the last that it wrote.

        Its death was told or seen: an engine that says no more in the end keeps nobody from hearing of it.
        """
        container: Container | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._dock.options.look_back_s):
                container = await self._ask_until_told(partial(self._dock.engine.inspect, life.container))
                output = await self._ask_until_told(partial(self._dock.engine.output, life.container))
                with suppress(OSError):
                    await asyncio.to_thread(life.keep_output, output)
        return container

    async def _ask_until_told(self, ask: Callable[[], Awaitable[T]]) -> T:
        backoff = Backoff(_RETRY_S, _RETRY_MAX_S)
        while True:
            try:
                return await ask()
            except AgentError as error:
                log.warning("engine_asked_again", problem=str(error))
                await asyncio.sleep(backoff.next_wait_s())

    def _forget(self, life: ContainerLife) -> None:
        del self._by_container[life.container]
        if self._lives.get(life.server.name) is life:
            del self._lives[life.server.name]
        # Wakes an end that was waiting for a start that failed.
        life.launched.set()

    # ------------------------------------------------------------------------------------------------- what is left over

    async def _sweep_and_rest(self) -> None:
        try:
            await self._sweep()
        except AgentError as error:
            log.warning("engine_sweep_failed", problem=str(error))
        await asyncio.sleep(min(_SWEEP_EVERY_S, max(1.0, self._dock.options.failed_kept_s)))

    async def _sweep(self) -> None:
        await self._reconcile()
        if not self._has_adopted:
            # What runs and is not known may be just what is to be adopted.
            return
        for listed in await self._dock.engine.list(self._dock.owner.labels):
            if listed.id not in self._by_container:
                with self._boundary.guard(container=listed.id[:12]):
                    await self._sweep_up_unknown(listed.id)
        keep = frozenset(self._folder(server) for server in (*self._lives, *self._expected))
        await asyncio.to_thread(remove_old_folders, self._dock.places.servers_dir, keep=keep)

    async def _sweep_up_unknown(self, container: str) -> None:
        found = await self._dock.engine.inspect(container)
        if found is not None and container not in self._by_container:
            await self._sweep_up(found)

    async def _sweep_up(self, container: Container) -> None:
        options, now = self._dock.options, datetime.now(UTC)
        state = container.state
        # One that runs though nobody knows it came of a creation whose answer was lost.
        has_run = state.has_run and not state.is_running
        since = state.finished_at if has_run else container.created_at
        remains = Remains(has_run, state.exit_code, (now - since).total_seconds())
        fate = fate_of(remains, failed_kept_s=options.failed_kept_s, orphan_grace_s=options.orphan_grace_s)
        if fate is Fate.REMOVE:
            log.info("container_swept_up", container=container.name, exit_code=state.exit_code)
            await self._dock.engine.remove(container.id)

    def _clear_folders(self) -> None:
        """Remove the passwords in the folders of servers that ended while no agent was there."""
        keep = {self._folder(server) for server in (*self._lives, *self._expected)}
        for folder in folders_in(self._dock.places.servers_dir):
            if folder.name not in keep:
                clear_shared(folder)

    def _folder(self, server: str) -> str:
        return self._dock.places.of(server, location="").folder.name
