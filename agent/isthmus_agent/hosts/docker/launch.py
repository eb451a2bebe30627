"""Brings a server's container about: finds the one that is there, or creates and starts it."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from isthmus_lifecycle.log import get_logger

from isthmus_agent.errors import AgentError
from isthmus_agent.hosts.docker import labels
from isthmus_agent.hosts.docker.body import Draft, networks_of
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.images import Images
from isthmus_agent.hosts.docker.life import ContainerLife
from isthmus_agent.hosts.docker.options import DockerOptions
from isthmus_agent.hosts.docker.places import LISTEN, RUNS_DIR, Places
from isthmus_agent.hosts.docker.replies import Container, Image
from isthmus_agent.hosts.docker.usable import check_usable
from isthmus_agent.hosts.docker.user import Users
from isthmus_agent.hosts.errors import EngineRefusedError, ServerStartError
from isthmus_agent.hosts.host import OnStep, Server, ServerSpec, StartStep
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.hosts.server_config import config_text

log = get_logger(__name__)

#: How often a name that is taken is looked at again: who holds it may be on the way out.
_NAME_TRIES = 5
_CONFLICT = 409
#: Exit codes of shells and init processes for a command that is not there, or cannot be executed.
_NO_COMMAND = frozenset({126, 127})


class NameTakenError(AgentError):
    """A container has the name already."""

    def __init__(self, *, server: str) -> None:
        """Name the server."""
        super().__init__(f"There is a container for code server {server} already.")


@dataclass(frozen=True)
class Dock:
    """What containers are made with."""

    engine: Engine
    images: Images
    options: DockerOptions
    owner: labels.Owner
    places: Places
    users: Users

    async def launch(
        self, spec: ServerSpec, *, on_step: OnStep, register: Callable[[ContainerLife], None]
    ) -> ContainerLife:
        """Return the life of the server's container: the one that runs already, or a new one.

        Args:
            spec: what the server is.
            on_step: told how far it is.
            register: given the life before its container is started, so that no end is missed.

        Raises:
            ServerStartError, ImageUnavailableError, EngineUnavailableError, DataFolderUnfitError: there is none, and
                nothing is left of the attempt.
        """
        name = server_name(spec)
        if (running := await self._find(name)) and (adopted := self.adopt(running)):
            register(adopted)
            return adopted
        await check_usable(spec, server=name, engine=self.engine, options=self.options)
        image = await self._image(spec, name=name, on_step=on_step)
        on_step(StartStep.STARTING, "")
        for _ in range(_NAME_TRIES):
            try:
                return await self._create_and_start(spec, name=name, image=image, register=register)
            except NameTakenError:
                # A creation whose answer never came, or an end that is being tidied up at this moment. Whichever it is,
                # its folder is not its own any more, and nobody knows of it.
                if running := await self._find(name):
                    await self.engine.remove(running.id)
        raise ServerStartError(server=name, problem=f"the name {self.owner.container_name(name)} stays taken")

    def adopt(self, container: Container) -> ContainerLife | None:
        """Return the life of a container of ours that runs; None when its labels are not whole."""
        server = labels.server_of(container.labels)
        if server is None:
            log.warning("container_labels_unreadable", container=container.name)
            return None
        places = self.places.of(server.name, location=server.location)
        server = Server(**{**vars(server), "address": places.address})
        timeout = labels.stop_timeout_of(container.labels)
        life = ContainerLife(server, container=container.id, places=places, stop_timeout_s=timeout)
        life.launched.set()
        log.info("server_adopted", server=server.name, location=server.location, container=container.id[:12])
        return life

    async def put_aside(self, container: Container, *, is_wanted: bool) -> None:
        """Do away with a container that does not run, or keep it under another name for a person to look at."""
        if not is_wanted:
            await self.engine.remove(container.id)
            return
        incarnation = container.labels.get(labels.INCARNATION, container.id)[:8]
        name = container.name.removeprefix("/")
        if not name.endswith(f"-{incarnation}"):
            with contextlib.suppress(EngineRefusedError):
                # Refused if it is gone, or was renamed already.
                await self.engine.rename(container.id, name=f"{name}-{incarnation}")

    async def _find(self, name: str) -> Container | None:
        """Return the container of that name if it runs, and clear away one that does not."""
        found = await self.engine.inspect(self.owner.container_name(name))
        if found is None:
            return None
        if not labels.is_owned(found.labels, owner=self.owner) or found.labels.get(labels.SERVER) != name:
            raise ServerStartError(server=name, problem=f"container {found.name} has its name and is not this agent's")
        if found.state.is_running:
            return found
        await self.put_aside(found, is_wanted=found.state.has_run and found.state.exit_code != 0)
        return None

    async def _image(self, spec: ServerSpec, *, name: str, on_step: OnStep) -> Image:
        reference = spec.container.image
        if not reference:
            raise ServerStartError(server=name, problem=f"location {spec.location} names no image")
        return await self.images.ensure(
            reference,
            policy=spec.container.pull_policy,
            on_progress=lambda progress: on_step(StartStep.PULLING, progress),
        )

    async def _create_and_start(
        self, spec: ServerSpec, *, name: str, image: Image, register: Callable[[ContainerLife], None]
    ) -> ContainerLife:
        draft = self._draft(spec, name=name, image=image)
        container = self.owner.container_name(name)
        try:
            container = await self._create(draft, container=container)
            for network in networks_of(spec, options=self.options)[1:]:
                await self.engine.connect_network(container, network=network)
            timeout = spec.container.stop_timeout_s
            life = ContainerLife(draft.server, container=container, places=draft.places, stop_timeout_s=timeout)
            register(life)
            await self.engine.start(container)
            await self._see_it_begin(life)
        except NameTakenError:
            raise
        except BaseException as error:
            # Also when whoever asked for it was cancelled, be it before the engine said its id: nobody would know of it.
            with contextlib.suppress(AgentError):
                await self.engine.remove(container)
            draft.places.clear()
            if isinstance(error, EngineRefusedError):
                raise ServerStartError(server=name, problem=error.message) from error
            raise
        log.info("server_started", server=name, location=spec.location, container=container[:12])
        return life

    async def _see_it_begin(self, life: ContainerLife) -> None:
        """Give the init process a moment to find that there is no such command: the engine itself does not look."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.options.beginning_s):
                await life.dying.wait()
        if life.exit_code in _NO_COMMAND:
            output = (await self.engine.output(life.container)).strip()
            problem = output or f"its command ended with code {life.exit_code}"
            raise ServerStartError(server=life.server.name, problem=problem)

    async def _create(self, draft: Draft, *, container: str) -> str:
        body = draft.body(options=self.options, places=self.places)
        try:
            return await self.engine.create(container, body=body)
        except EngineRefusedError as error:
            if error.status == _CONFLICT:
                raise NameTakenError(server=draft.server.name) from error
            raise

    def _draft(self, spec: ServerSpec, *, name: str, image: Image) -> Draft:
        """Make the server's folders and all that its container is created from."""
        places = self.places.of(name, location=spec.location)
        self.places.check(spec, places=places)
        user = self.users.user_for(spec.container.user)
        config = config_text(spec, server=name, address=LISTEN, runs_dir=str(RUNS_DIR))
        try:
            places.prepare(config=config, reader=self.users.reader_for(user or image.config.user))
        except OSError as error:
            raise ServerStartError(server=name, problem=f"{places.folder}: {error.strerror or error}") from error
        incarnation = uuid.uuid4().hex
        server = Server(
            name=name,
            location=spec.location,
            generation=spec.generation,
            incarnation=incarnation,
            address=places.address,
            slot=spec.slot,
        )
        words = labels.labels_of(spec, owner=self.owner, incarnation=incarnation, address=places.address)
        return Draft(spec, server=server, places=places, labels=words, user=user)
