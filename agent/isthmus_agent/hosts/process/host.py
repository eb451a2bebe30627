"""The process host: a code server is a process in a session of its own, known again by pid and start time."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from signal import SIGKILL, SIGTERM
from types import TracebackType
from typing import Self

from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger

from isthmus_agent.desired.container import Limits
from isthmus_agent.desired.location import Isolation
from isthmus_agent.hosts.errors import ServerStartError
from isthmus_agent.hosts.host import OnStep, Server, ServerExit, ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.hosts.process import launch, procfs, sockets
from isthmus_agent.hosts.process.launch import USUAL, Launching
from isthmus_agent.hosts.process.life import ServerLife
from isthmus_agent.hosts.process.record import ServerRecord, load_record, remove_record
from isthmus_agent.hosts.server_config import CONFIG_FILE
from isthmus_agent.hosts.server_folder import folders_in, read_tail, remove_old_folders
from isthmus_agent.hosts.tasks import OwnTasks

log = get_logger(__name__)

#: How old the count of the kernel's memory kills may be, seconds: a kill -9 this soon after one is taken for one.
_MEMORY_SAMPLE_S = 5.0


class ProcessHost:
    """Code servers as processes of this machine and this user."""

    def __init__(
        self,
        *,
        servers_dir: Path,
        runtime_dir: Path,
        deployment: str,
        agent: str,
        launching: Launching = USUAL,
    ) -> None:
        """Keep servers' folders in `servers_dir` and their sockets in `runtime_dir`.

        Args:
            servers_dir: a folder per server, used by one agent at a time.
            runtime_dir: short, and private to this user.
            deployment: whose servers these are, together with the agent.
            agent: the name of the agent.
            launching: how code servers are started.
        """
        self._servers_dir = servers_dir
        self._runtime_dir = runtime_dir
        self._owner = (deployment, agent)
        self._launching = launching
        self._lives: dict[str, ServerLife] = {}
        self._exits: asyncio.Queue[ServerExit] = asyncio.Queue()
        self._memory_kills = procfs.out_of_memory_kills()
        self._boundary = Boundary("process")
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._servers_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._servers_dir.chmod(0o700)
        sockets.prepare_runtime_dir(self._runtime_dir)
        async with AsyncExitStack() as stack:
            self._tasks = (await stack.enter_async_context(OwnTasks())).group
            self._tasks.create_task(keep_going(self._sample_memory_kills, name="memory kills"), name="memory kills")
            stack.callback(self._let_go)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def _let_go(self) -> None:
        for life in self._lives.values():
            life.close()
        self._lives.clear()
        with contextlib.suppress(OSError):
            # Empty unless servers go on; they keep their sockets in it.
            self._runtime_dir.rmdir()

    @property
    def default_isolation(self) -> Isolation:
        """A process of its own protects a run from little: it is had where somebody asks for it."""
        return Isolation.SHARED

    async def start(self, spec: ServerSpec, *, on_step: OnStep = lambda _step, _progress: None) -> Server:
        """Start a code server, or return the one that runs already; see `Host.start`.

        Without a pause in between, so that a caller that is cancelled never leaves a process that nobody knows of.
        """
        del on_step  # A process is there at once.
        name = server_name(spec)
        life = self._lives.get(name)
        if life is not None and not life.exited.is_set():
            return life.server
        if life is not None:
            # Its successor takes over the name only when nothing of it is left.
            await life.settle()
        earlier = load_record(self._servers_dir / name)
        if earlier is not None and (adopted := self._watch(earlier)):
            return adopted
        return self._launch(spec, name=name)

    async def stop(self, server: Server, *, grace_s: float) -> None:
        """End a code server and everything it started; see `Host.stop`."""
        life = self._lives.get(server.name)
        if life is None or life.server.incarnation != server.incarnation:
            return
        life.signal(SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await life.exited.wait()
        if not life.exited.is_set():
            log.warning("server_killed", server=server.name, grace_s=grace_s)
            life.signal(SIGKILL)
            await life.exited.wait()
        await life.settle()
        self._forget(life)

    async def list(self) -> Sequence[Server]:
        """Return the servers that run; see `Host.list`."""
        for folder in folders_in(self._servers_dir):
            if folder.name not in self._lives:
                with self._boundary.guard(folder=folder.name):
                    await self._adopt(folder)
        return [life.server for life in self._lives.values() if not life.exited.is_set()]

    async def clear(self, *, grace_s: float) -> None:
        """End every server; see `Host.clear`."""
        async with asyncio.TaskGroup() as tasks:
            for server in await self.list():
                tasks.create_task(self.stop(server, grace_s=grace_s))

    def note_wanted(self, specs: Iterable[ServerSpec]) -> None:
        """Do nothing: nothing is fetched for processes; see `Host.note_wanted`."""

    async def watch(self) -> AsyncGenerator[ServerExit, None]:
        """Tell of each exit once; see `Host.watch`."""
        while True:
            yield await self._exits.get()

    async def set_limits(self, server: Server, limits: Limits) -> bool:
        """A process has no limits of its own; see `Host.set_limits`."""
        del server
        return limits == Limits()

    async def memory_bytes(self, server: Server) -> int:
        """Return what a server holds in memory; see `Host.memory_bytes`."""
        return await asyncio.to_thread(procfs.tagged_memory_bytes, server.incarnation)

    async def tail(self, server: Server, *, max_bytes: int) -> str:
        """Return the end of what the server wrote; see `Host.tail`."""
        path = self._servers_dir / server.name / launch.OUTPUT_FILE
        return launch.explained(await asyncio.to_thread(read_tail, path, max_bytes=max_bytes))

    async def _adopt(self, folder: Path) -> None:
        """Watch the server of a folder, or end what it left if it died unseen."""
        record = load_record(folder)
        if record is None or (record.deployment, record.agent) != self._owner:
            return
        if self._watch(record) is None:
            await asyncio.to_thread(procfs.end_tagged, record.incarnation)
            remove_record(folder)

    def _note_end(self, life: ServerLife) -> None:
        """See to the end of a process, each in a task of its own: one that takes long delays no other."""
        with self._boundary.guard(server=life.server.name):
            life.reap(memory_kills_before=self._memory_kills)
            self._memory_kills = procfs.out_of_memory_kills()
        self._tasks.create_task(self._tell_end(life), name=f"end {life.server.name}")

    async def _tell_end(self, life: ServerLife) -> None:
        ending = await self._boundary.persist(life.settle, server=life.server.name)
        self._forget(life)
        self._exits.put_nowait(ending)

    def _forget(self, life: ServerLife) -> None:
        """Remove what told of a server whose end is proven, unless its name lives again already."""
        name = life.server.name
        if self._lives.get(name) is not life:
            return
        del self._lives[name]
        with self._boundary.guard(server=name):
            remove_record(self._servers_dir / name)
            # It holds the broker's password; what stays is the output, for a person to read.
            (self._servers_dir / name / CONFIG_FILE).unlink(missing_ok=True)
            sockets.socket_path(self._runtime_dir, server=name).unlink(missing_ok=True)

    async def _sample_memory_kills(self) -> None:
        await asyncio.sleep(_MEMORY_SAMPLE_S)
        self._memory_kills = procfs.out_of_memory_kills()

    def _launch(self, spec: ServerSpec, *, name: str) -> Server:
        folder = self._servers_dir / name
        socket = sockets.socket_path(self._runtime_dir, server=name)
        address = f"unix:{socket}"
        record = ServerRecord(
            name=name,
            deployment=spec.deployment,
            agent=spec.agent,
            location=spec.location,
            generation=spec.generation,
            slot=spec.slot,
            incarnation=uuid.uuid4().hex,
            address=address,
            boot_id=procfs.boot_id(),
        )
        try:
            socket.unlink(missing_ok=True)
            launch.prepare_folder(folder, spec=spec, server=name, address=address)
            # Written before the start and again after it: dying in between must not lose the process.
            record.save(folder)
        except OSError as error:
            raise ServerStartError(server=name, problem=f"{folder}: {error.strerror or error}") from error
        pid = launch.spawn(folder, spec=spec, server=name, tag=record.incarnation, how=self._launching)
        self._lives[name] = self._follow(record.server, pid=pid)
        with self._boundary.guard(server=name):
            # Without it, the tag of its processes tells the server.
            record.started(pid).save(folder)
            remove_old_folders(self._servers_dir, keep=frozenset(self._lives))
        log.info("server_started", server=name, location=spec.location, generation=spec.generation, pid=pid)
        return record.server

    def _watch(self, record: ServerRecord) -> Server | None:
        """Watch the process of a record; None when it does not run."""
        pid = record.find_pid()
        if pid is None:
            return None
        try:
            life = ServerLife(record.server, pid=pid, on_exit=self._note_end)
        except ProcessLookupError:
            return None
        if record.find_pid() != pid:
            # It ended, and its pid may be a stranger's, between the look and the opening of the pidfd.
            life.close()
            return None
        self._lives[record.name] = life
        log.info("server_adopted", server=record.name, location=record.location, pid=pid)
        return record.server

    def _follow(self, server: Server, *, pid: int) -> ServerLife:
        """Watch a process that was started just now; one that cannot be watched is ended."""
        try:
            return ServerLife(server, pid=pid, on_exit=self._note_end)
        except OSError as error:
            os.kill(pid, SIGKILL)
            os.waitpid(pid, 0)
            raise ServerStartError(server=server.name, problem=error.strerror or str(error)) from error
