"""The branch deployments that an agent serves beside its own: in each it is the agent of its name, in a folder of its own.

So what belongs to a branch is apart from all else as that of another agent is: queues, code servers, attempts and files.
"""

import asyncio
import hashlib
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from isthmus_broker.topology import NAME_PATTERN
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.private import private_folder

from isthmus_agent import data_dir
from isthmus_agent.hosting import host_of
from isthmus_agent.means import Means
from isthmus_agent.settings import AgentSettings

log = get_logger(__name__)

#: Is an agent until it is told to stop.
Serve = Callable[[AgentSettings, asyncio.Event], Awaitable[None]]

#: In a branch's folder: its deployment.
_NAME_FILE: Final = "branch"
#: Short, since unix sockets lie below the folder.
_DIGEST_CHARS: Final = 8
#: How long a code server may take to end with its branch, seconds: no run is left by then.
_END_GRACE_S: Final = 5.0
#: First and longest pause before what failed is done again, seconds.
_PAUSE_MIN_S, _PAUSE_MAX_S = 0.5, 30.0


@dataclass
class _Kept:
    """A branch deployment of which something is there, or is about to be."""

    deployment: str
    is_wanted: bool
    #: Set when its agent is to stop: the branch is not wanted any more, or nothing is.
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class BranchAgents:
    """Is the agent of each branch deployment that is wanted, and removes what is left of others."""

    def __init__(self, means: Means, *, serve: Serve, tasks: asyncio.TaskGroup, on_change: Callable[[], None]) -> None:
        """Do nothing before `want`; then each branch is one of `tasks`, and `on_change` is called when there are others than before."""
        self._means = means
        self._serve = serve
        self._tasks = tasks
        self._on_change = on_change
        self._root = means.folder / "branches"
        self._kept: dict[str, _Kept] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._is_ending = False
        self._boundary = Boundary("branch")

    def kept(self) -> Sequence[str]:
        """Return the branch deployments of which anything is there, or is about to be."""
        return sorted(self._kept)

    def want(self, deployments: Sequence[str]) -> None:
        """Serve these branch deployments and no others; what is kept of others is ended and removed."""
        wanted = {it for it in deployments if NAME_PATTERN.fullmatch(it)}
        for deployment in wanted.union(self._kept, self._found()):
            kept = self._kept.get(deployment)
            if kept is None:
                kept = self._kept[deployment] = _Kept(deployment, deployment in wanted)
                keeping = self._tasks.create_task(self._keep(kept), name=f"branch {deployment}")
                self._keeping.add(keeping)
                keeping.add_done_callback(self._keeping.discard)
            kept.is_wanted = deployment in wanted
            if not kept.is_wanted:
                kept.stop.set()
        self._on_change()

    async def end(self, *, at_most_s: float) -> None:
        """Stop the agents of all branches as an agent stops: what they keep is there for the next one."""
        self._is_ending = True
        for kept in self._kept.values():
            kept.stop.set()
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=at_most_s)

    async def _keep(self, kept: _Kept) -> None:
        """Serve a branch for as long as it is wanted, then remove it."""
        backoff = Backoff(_PAUSE_MIN_S, _PAUSE_MAX_S)
        while not self._is_ending:  # pauses: an agent lives until it is stopped
            with self._boundary.guard(branch=kept.deployment) as fate:
                if kept.is_wanted:
                    kept.stop.clear()
                    await self._be_agent(kept)
                else:
                    await self._remove(kept.deployment)
            if fate.error is not None:
                await asyncio.sleep(backoff.next_wait_s())
            elif not kept.is_wanted and not self._folder(kept.deployment).exists():
                # No pause since it was looked: nobody can have wanted it again in between.
                del self._kept[kept.deployment]
                log.info("branch_removed", branch=kept.deployment)
                self._on_change()
                return

    async def _be_agent(self, kept: _Kept) -> None:
        settings = self._settings(kept.deployment)
        private_folder(self._root)
        name = private_folder(settings.folder) / _NAME_FILE
        name.write_text(kept.deployment)
        await self._serve(settings, kept.stop)

    async def _remove(self, deployment: str) -> None:
        """End what runs of a branch, and remove its files."""
        settings = self._settings(deployment)
        if settings.folder.exists():
            with data_dir.claimed(settings.folder) as folder:
                async with host_of(settings, folder, policy=self._means.policy) as host:
                    await host.clear(grace_s=_END_GRACE_S)
            await asyncio.to_thread(shutil.rmtree, settings.folder)

    def _settings(self, deployment: str) -> AgentSettings:
        """Return the settings of the agent of a branch: those of this one, with folders of its own."""
        own, folder = self._means.settings, self._folder(deployment)
        runtime_dir = own.runtime_dir / folder.name if own.runtime_dir is not None else None
        return own.model_copy(update={"deployment": deployment, "data_dir": folder, "runtime_dir": runtime_dir})

    def _folder(self, deployment: str) -> Path:
        return self._root / hashlib.sha256(deployment.encode()).hexdigest()[:_DIGEST_CHARS]

    def _found(self) -> Iterator[str]:
        """Give the branch deployments that an earlier life left something of."""
        for name in self._root.glob(f"*/{_NAME_FILE}"):
            with self._boundary.guard(folder=name.parent.name):
                deployment = name.read_text()
                if self._folder(deployment) == name.parent:
                    yield deployment
