"""One agent: how it begins, and the order in which it ends."""

import asyncio
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_agent import data_dir
from isthmus_agent.heartbeat import beat, say_stopped
from isthmus_agent.hosting import host_of
from isthmus_agent.identity import Holder, IdentityPublisher
from isthmus_agent.instructions.overtaken import forget_overtaken
from isthmus_agent.locations.registry import LocationRegistry
from isthmus_agent.means import Means
from isthmus_agent.parts import Parts, parts_of
from isthmus_agent.policy.judge import load_policy
from isthmus_agent.settings import AgentSettings
from isthmus_agent.standing import TAKEN_REMEDY, becomes_holder, mind_queue, unless_stopped

log = get_logger(__name__)

#: How long a code server may take to end its runs when it ends with the agent, seconds.
_STOP_GRACE_S: Final = 15.0


class _Stopped(Exception):  # noqa: N818 (ends the task group; nobody sees it)
    """The agent was asked to stop and has drained."""


class _Superseded(Exception):  # noqa: N818 (ends the task group; nobody sees it)
    """Another process has the agent's name now."""


async def run_agent(settings: AgentSettings, *, stop: asyncio.Event, started: asyncio.Event | None = None) -> None:
    """Run an agent until `stop` is set, then drain it; `started` is set once the broker delivers instructions to it.

    One process at a time is the agent of a name: while another is, this one starts nothing and says nothing, and begins once
    the other is gone.

    Order of the end: take no more instructions → let go those that only wait → finish those in hand, up to
    `drain_timeout_s`, and return the rest; beside that, the agents of branch deployments do the same → end the agent's own tasks → with `stops_servers_on_exit`, end the code servers →
    say good-bye → close. Otherwise code servers and their runs go on, and the next agent in the same `data_dir` adopts them.

    Raises:
        PolicyFileError, DataFolderInUseError, RuntimeFolderError: the agent cannot start.
        IdentityTakenError: another process has the name, and the settings do not let this one stand by.
    """
    policy = load_policy(settings.policy_file)
    broker = BrokerSettings(settings.broker_url.get_secret_value(), is_starting=settings.is_alone)
    purpose = f"agent {settings.deployment}.{settings.name}"
    with data_dir.claimed(settings.folder) as folder:
        async with (
            host_of(settings, folder, policy=policy) as host,
            Publisher(broker.named(f"{purpose} telemetry")) as publisher,
        ):
            source = telemetry.Source(deployment=settings.deployment, agent=settings.name, incarnation=uuid.uuid4().hex)
            holder = Holder(f"{settings.deployment}.{settings.name}", ghost_s=settings.ghost_s)
            means = Means(
                settings=settings,
                folder=folder,
                folder_id=data_dir.folder_id(folder),
                host=host,
                policy=policy,
                broker=broker.named(f"{purpose} instructions"),
                holder=holder,
                publisher=IdentityPublisher(publisher, source=source, holder=holder),
                farewell=TelemetryPublisher(publisher, source=source),
                connection=publisher,
            )
            await _Agent(means, stop, started).run()


async def _serve_branch(settings: AgentSettings, stop: asyncio.Event) -> None:
    await run_agent(settings, stop=stop)


@dataclass(frozen=True)
class _Agent:
    """One process that is, or wants to be, the agent of its name."""

    means: Means
    stop: asyncio.Event
    #: Set once the broker delivers instructions.
    started: asyncio.Event | None

    async def run(self) -> None:
        settings = self.means.settings
        log.info("agent_starting", deployment=settings.deployment, agent=settings.name)
        while not self.stop.is_set():  # pauses: it lives until it is stopped or superseded
            await self._live()
        log.info("agent_stopped", agent=settings.name)

    async def _live(self) -> None:
        """Be the agent of the name, from the moment that it is this process's until it is another's, or `stop` is set."""
        is_holder = False
        async with AsyncExitStack() as ending:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._serve(tasks, ending=ending)
            except* _Stopped:
                is_holder = True
                log.info("agent_drained", agent=self.means.settings.name)
            except* _Superseded:
                log.warning("agent_superseded", agent=self.means.settings.name, remedy=TAKEN_REMEDY)
        if is_holder:
            await say_stopped(self.means.farewell)

    async def _serve(self, tasks: asyncio.TaskGroup, *, ending: AsyncExitStack) -> None:
        parts = parts_of(self.means, tasks=tasks, serve=_serve_branch)
        ending.callback(parts.intake.close)
        consuming = tasks.create_task(parts.consumer.run(), name="instructions")
        minding = mind_queue(self.means, parts.consumer, bell=parts.bell, started=self.started)
        until_held = tasks.create_task(minding, name="queue")
        if not self.means.settings.is_alone and not await becomes_holder(self.means, stop=self.stop):
            consuming.cancel()
            until_held.cancel()
            return

        ending.push_async_callback(self._end_servers, parts.registry)
        await self._begin(parts, tasks=tasks)
        await self.stop.wait()
        async with asyncio.TaskGroup() as ends:
            ends.create_task(parts.branches.end(at_most_s=self.means.settings.drain_timeout_s + _STOP_GRACE_S))
            ends.create_task(self._drain(parts))
        raise _Stopped

    async def _begin(self, parts: Parts, *, tasks: asyncio.TaskGroup) -> None:
        settings, publisher = self.means.settings, self.means.publisher
        running = await unless_stopped(self.means.host.list(), stop=self.stop)
        if running is None:
            # Nothing was begun, and what was delivered goes back.
            raise _Stopped
        parts.registry.begin(running, holding=frozenset(one.incarnation for one in parts.tools.ledger.all()))
        parts.salvage.begin_unseen(living=frozenset(server.incarnation for server in running))
        tasks.create_task(self._watch_exits(parts), name="exits")
        tasks.create_task(parts.reporter.run(), name="reports")
        tasks.create_task(parts.registry.run(), name="idle servers")
        beating = beat(parts.signs(self.means), publisher=publisher, bell=parts.bell, interval_s=settings.heartbeat_s)
        tasks.create_task(beating, name="heartbeat")
        tasks.create_task(parts.upkeep(run_files_kept_s=settings.run_files_kept_s).run(), name="upkeep")
        tasks.create_task(self._mind_name(parts), name="name")
        tasks.create_task(parts.instructions.run(), name="deadlines")
        await forget_overtaken(parts.intake, tombstones=parts.tools.tombstones, relay=parts.relay)
        parts.instructions.begin()

    async def _mind_name(self, parts: Parts) -> None:
        await self.means.holder.wait_taken()
        parts.instructions.abandon()
        raise _Superseded

    async def _drain(self, parts: Parts) -> None:
        drain_timeout_s = self.means.settings.drain_timeout_s
        clock = asyncio.get_running_loop().time
        deadline = clock() + drain_timeout_s
        parts.instructions.leave()
        await parts.consumer.drain(deadline_s=drain_timeout_s)
        await parts.instructions.drain(deadline_s=max(0.0, deadline - clock()))

    async def _end_servers(self, registry: LocationRegistry) -> None:
        if self.means.settings.stops_servers_on_exit and self.stop.is_set():
            await registry.stop_all(grace_s=_STOP_GRACE_S)
        await registry.close()

    async def _watch_exits(self, parts: Parts) -> None:
        boundary = Boundary("server exit")
        async for ending in self.means.host.watch():
            log.info("server_exited", server=ending.server.name, how=str(ending))
            output = ""
            with boundary.guard(server=ending.server.name):
                output = await parts.registry.note_exit(ending)
            # Whatever went wrong with its location: what lived on it is closed.
            with boundary.guard(server=ending.server.name):
                parts.salvage.begin(ending, output=output)
