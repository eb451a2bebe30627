"""Images: there when a container is created from them, pulled once however many ask."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_agent.desired.container import PullPolicy
from isthmus_agent.errors import AgentError
from isthmus_agent.hosts.docker.credentials import auth_header
from isthmus_agent.hosts.docker.engine import Engine
from isthmus_agent.hosts.docker.options import DockerOptions
from isthmus_agent.hosts.docker.progress import PullProgress
from isthmus_agent.hosts.docker.pulled import PulledImages
from isthmus_agent.hosts.docker.replies import Image
from isthmus_agent.hosts.errors import (
    EngineRefusedError,
    EngineUnavailableError,
    ImageUnavailableError,
    RegistryConfigError,
)

log = get_logger(__name__)

#: Least time between two words on a pull's progress, seconds.
_PROGRESS_EVERY_S = 0.5
#: Words of registries that say that trying again changes nothing. "unauthorized" is not among them: some say it
#: now and then to those who are welcome.
_FINAL_WORDS = (
    "not found",
    "manifest unknown",
    "does not exist",
    "invalid reference",
    "denied",
    "no matching manifest",
)

OnProgress = Callable[[str], None]


@dataclass
class _Pull:
    """One pull, and all who wait for it."""

    done: "asyncio.Future[None]"
    listeners: list[OnProgress] = field(default_factory=list)

    def fail(self, error: AgentError) -> None:
        self.done.set_exception(error)
        # Everybody who waited may be gone.
        self.done.exception()

    def tell(self, progress: str) -> None:
        for listener in tuple(self.listeners):
            listener(progress)


class Images:
    """The images of one engine."""

    def __init__(
        self, engine: Engine, *, options: DockerOptions, tasks: asyncio.TaskGroup, pulled: PulledImages
    ) -> None:
        """Pull by `options`, each pull as one of `tasks`: it goes on when who asked for it is gone.

        What was not there before is noted in `pulled`.
        """
        self._engine = engine
        self._pulled = pulled
        self._options = options
        self._tasks = tasks
        self._pulls: dict[str, _Pull] = {}
        self._boundary = Boundary("image")

    async def ensure(self, reference: str, *, policy: PullPolicy, on_progress: OnProgress) -> Image:
        """Return an image, pulling it first if that is the policy; `on_progress` is told only when it is pulled.

        Raises:
            ImageUnavailableError: it is not there, and could not or must not be pulled.
        """
        if policy is not PullPolicy.ALWAYS and (image := await self._engine.image(reference)):
            return image
        if policy is PullPolicy.NEVER:
            raise ImageUnavailableError(image=reference, problem="the engine has none, and its pull policy is never")
        await self._pull(reference, on_progress)
        image = await self._engine.image(reference)
        if image is None:
            raise ImageUnavailableError(image=reference, problem="it was pulled and removed again at once")
        return image

    async def _pull(self, reference: str, on_progress: OnProgress) -> None:
        pull = self._pulls.get(reference)
        if pull is None:
            pull = self._pulls[reference] = _Pull(asyncio.get_running_loop().create_future())
            self._tasks.create_task(self._carry_out(reference, pull), name=f"pull {reference}")
        pull.listeners.append(on_progress)
        on_progress("")
        try:
            await asyncio.shield(pull.done)
        finally:
            pull.listeners.remove(on_progress)

    async def _carry_out(self, reference: str, pull: _Pull) -> None:
        try:
            with self._boundary.guard(image=reference) as fate:
                try:
                    await self._try_to_pull(reference, pull)
                except AgentError as error:
                    pull.fail(error)
            if fate.error is not None:
                pull.fail(ImageUnavailableError(image=reference, problem=f"the agent failed at it: {fate.error}"))
            elif not pull.done.done():
                pull.done.set_result(None)
        finally:
            pull.done.cancel()
            del self._pulls[reference]

    async def _try_to_pull(self, reference: str, pull: _Pull) -> None:
        wait_s = self._options.pull_retry_s
        for tries_left in reversed(range(self._options.pull_tries)):
            try:
                await self._pull_once(reference, pull)
            except RegistryConfigError as error:
                raise ImageUnavailableError(image=reference, problem=str(error)) from error
            except (EngineRefusedError, EngineUnavailableError) as error:
                problem = error.message if isinstance(error, EngineRefusedError) else str(error)
                if not tries_left or is_final(problem):
                    raise ImageUnavailableError(image=reference, problem=problem) from error
                log.warning("image_pull_failed", image=reference, problem=problem, retry_in_s=wait_s)
                pull.tell(f"failed, next try in {wait_s:g} s: {problem}")
                await asyncio.sleep(wait_s)
                wait_s *= 2
            else:
                return

    async def _pull_once(self, reference: str, pull: _Pull) -> None:
        log.info("image_pulling", image=reference)
        before = await self._engine.image(reference)
        header = auth_header(reference, path=self._options.registry_config)
        progress, told_at = PullProgress(), 0.0
        async for step in self._engine.pull(reference, auth_header=header):
            progress.add(step)
            now = asyncio.get_running_loop().time()
            if str(progress) and now - told_at >= _PROGRESS_EVERY_S:
                told_at = now
                pull.tell(str(progress))
        log.info("image_pulled", image=reference, progress=str(progress))
        after = await self._engine.image(reference)
        if after is not None and (before is None or before.id != after.id):
            with suppress(OSError):
                # On a full disk it is the engine's owner's.
                self._pulled.note_pulled(after.id, reference=reference)


def is_final(problem: str) -> bool:
    """Whether a registry's words say that trying again changes nothing."""
    words = problem.lower()
    return any(final in words for final in _FINAL_WORDS)
