"""One agent: its parts, how they begin, and the order in which they end."""

import asyncio
import contextlib
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.consumer import Intake
from isthmus_broker.instructions import InstructionConsumer
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_lifecycle.boundary import Boundary
from isthmus_lifecycle.log import get_logger

from isthmus_agent import data_dir
from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.salvage import Salvage
from isthmus_agent.attempts.tombstones import Tombstones
from isthmus_agent.attempts.upkeep import Upkeep
from isthmus_agent.clock import now
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.errors import IdentityTakenError
from isthmus_agent.heartbeat import Bell, LifeSigns, beat, say_stopped
from isthmus_agent.hosts.host import Host
from isthmus_agent.hosts.process.host import ProcessHost
from isthmus_agent.hosts.process.launch import Launching
from isthmus_agent.hosts.process.sockets import default_runtime_dir
from isthmus_agent.identity import Holder, IdentityPublisher
from isthmus_agent.instance.relay import InstanceRelay
from isthmus_agent.instructions.desk import AttemptDesk
from isthmus_agent.instructions.dispatch import InstructionDesk, routes
from isthmus_agent.instructions.run_locks import RunLocks
from isthmus_agent.instructions.waiting import WaitingLaunches
from isthmus_agent.intake.journal import IntakeJournal
from isthmus_agent.locations.registry import Listeners, LocationRegistry
from isthmus_agent.locations.reporter import LocationReporter
from isthmus_agent.locations.settings import RegistrySettings
from isthmus_agent.policy.containers import default_limits
from isthmus_agent.policy.judge import Policy, load_policy
from isthmus_agent.servers.wanted import KeeperTiming
from isthmus_agent.settings import AgentSettings

log = get_logger(__name__)

#: How long to wait for the agent's queue before saying that it may be missing, and between two such words, seconds.
_QUEUE_PATIENCE_S = 3.0
_QUEUE_REMINDER_S = 30.0
#: What to do about another process of the agent's name.
_TAKEN_REMEDY = "another process is the agent of this name; this one stands by, and takes over when the other is gone"
#: How long a code server may take to end its runs when it ends with the agent, seconds.
_STOP_GRACE_S = 15.0


class _Stopped(Exception):  # noqa: N818 (ends the task group; nobody sees it)
    """The agent was asked to stop and has drained."""


class _Superseded(Exception):  # noqa: N818 (ends the task group; nobody sees it)
    """Another process has the agent's name now."""


async def run_agent(settings: AgentSettings, *, stop: asyncio.Event, started: asyncio.Event | None = None) -> None:
    """Run an agent until `stop` is set, then drain it; `started` is set once the broker delivers instructions to it.

    One process at a time is the agent of a name: while another is, this one starts nothing and says nothing, and begins once
    the other is gone.

    Order of the end: take no more instructions → finish those in hand, up to `drain_timeout_s`, and return the rest →
    end the agent's own tasks → with `stops_servers_on_exit`, end the code servers → say good-bye → close. Otherwise
    code servers and their runs go on, and the next agent in the same `data_dir` adopts them.

    Raises:
        PolicyFileError, DataFolderInUseError, RuntimeFolderError: the agent cannot start.
        IdentityTakenError: another process has the name, and the settings do not let this one stand by.
    """
    policy = load_policy(settings.policy_file)
    broker = BrokerSettings(settings.broker_url.get_secret_value(), is_starting=settings.is_alone)
    purpose = f"agent {settings.deployment}.{settings.name}"
    with data_dir.claimed(settings.folder) as folder:
        async with (
            _host(settings, folder, policy=policy) as host,
            Publisher(broker.named(f"{purpose} telemetry")) as publisher,
        ):
            source = telemetry.Source(deployment=settings.deployment, agent=settings.name, incarnation=uuid.uuid4().hex)
            holder = Holder(f"{settings.deployment}.{settings.name}", ghost_s=settings.ghost_s)
            agent = _Agent(
                settings=settings,
                folder=folder,
                host=host,
                policy=policy,
                broker=broker.named(f"{purpose} instructions"),
                holder=holder,
                publisher=IdentityPublisher(publisher, source=source, holder=holder),
                farewell=TelemetryPublisher(publisher, source=source),
                connection=publisher,
            )
            await agent.run(stop=stop, started=started)


def _host(settings: AgentSettings, folder: Path, *, policy: Policy) -> Host:
    if settings.host == "docker":
        # An agent of processes does without an HTTP client.
        from isthmus_agent.hosts.docker.host import DockerHost

        options = replace(
            settings.docker,
            limits=default_limits(settings.docker.limits, policy=policy),
            are_volumes_listed=policy.mounts is not None,
            are_networks_listed=policy.networks is not None,
        )
        return DockerHost(options, data_dir=folder, deployment=settings.deployment, agent=settings.name)
    return ProcessHost(
        servers_dir=folder / "servers",
        runtime_dir=settings.runtime_dir or default_runtime_dir(folder),
        deployment=settings.deployment,
        agent=settings.name,
        launching=Launching(passed_env=settings.passed_env_names + policy.passed_env, lent_paths=settings.lent_paths),
    )


@dataclass(frozen=True)
class _Agent:
    """What an agent is made from."""

    settings: AgentSettings
    folder: Path
    host: Host
    policy: Policy
    broker: BrokerSettings
    #: Whether the name is this process's.
    holder: Holder
    publisher: TelemetryPublisher
    #: Says good-bye when the queues have been let go already.
    farewell: TelemetryPublisher
    #: What the publishers publish over.
    connection: Publisher

    async def run(self, *, stop: asyncio.Event, started: asyncio.Event | None) -> None:
        log.info("agent_starting", deployment=self.settings.deployment, agent=self.settings.name)
        while not stop.is_set():  # pauses: it lives until it is stopped or superseded
            await self._live(stop=stop, started=started)
        log.info("agent_stopped", agent=self.settings.name)

    async def _live(self, *, stop: asyncio.Event, started: asyncio.Event | None) -> None:
        """Be the agent of the name, from the moment that it is this process's until it is another's, or `stop` is set."""
        registries: list[LocationRegistry] = []
        is_holder = False
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._serve(tasks, registries=registries, stop=stop, started=started)
        except* _Stopped:
            is_holder = True
            log.info("agent_drained", agent=self.settings.name)
        except* _Superseded:
            log.warning("agent_superseded", agent=self.settings.name, remedy=_TAKEN_REMEDY)
        for registry in registries:
            if self.settings.stops_servers_on_exit and stop.is_set():
                await registry.stop_all(grace_s=_STOP_GRACE_S)
            await registry.close()
        if is_holder:
            await say_stopped(self.farewell)

    async def _serve(
        self,
        tasks: asyncio.TaskGroup,
        *,
        registries: list[LocationRegistry],
        stop: asyncio.Event,
        started: asyncio.Event | None,
    ) -> None:
        bell = Bell()
        reporter = LocationReporter(self.publisher)
        relay = self._relay(tasks)
        registry = LocationRegistry(
            self._registry_settings(),
            host=self.host,
            tasks=tasks,
            listeners=Listeners(reporter.report, on_serving_change=bell.ring, attend=relay.attend),
        )
        ledger = AttemptLedger(self.folder / "attempts")
        salvage = Salvage(ledger=ledger, publisher=self.publisher, runs_dir=registry.runs_dir, tasks=tasks)
        desk = self._desk(registry, ledger=ledger, drain=DrainSwitch(bell.ring))
        instructions = self._instructions(desk, tasks=tasks)
        consumer = self._consumer(instructions, lock=relay.answers)
        consuming = tasks.create_task(consumer.run(), name="instructions")
        minding = tasks.create_task(self._mind_queue(consumer, bell=bell, started=started), name="queue")
        if not self.settings.is_alone and not await self._becomes_holder(stop):
            consuming.cancel()
            minding.cancel()
            return

        registries.append(registry)
        running = await self.host.list()
        registry.begin(running, holding=frozenset(holding.incarnation for holding in ledger.all()))
        salvage.begin_unseen(living=frozenset(server.incarnation for server in running))
        signs = LifeSigns(registry=registry, ledger=ledger, salvage=salvage, drain=desk.drain, started_at=now())
        tasks.create_task(self._watch_exits(registry, salvage), name="exits")
        tasks.create_task(reporter.run(), name="reports")
        tasks.create_task(registry.run(), name="idle servers")
        tasks.create_task(
            beat(signs, publisher=self.publisher, bell=bell, interval_s=self.settings.heartbeat_s), name="heartbeat"
        )
        tasks.create_task(self._upkeep(desk).run(), name="upkeep")
        tasks.create_task(self._mind_name(instructions), name="name")
        tasks.create_task(instructions.run(), name="deadlines")
        instructions.begin()
        await stop.wait()
        await self._drain(consumer, instructions)
        raise _Stopped

    async def _becomes_holder(self, stop: asyncio.Event) -> bool:
        """Wait until the name is this process's; False if it is to stop before.

        Raises:
            IdentityTakenError: Another process has it, and this one is not to stand by.
        """
        async with asyncio.TaskGroup() as waits:
            held = waits.create_task(self.holder.wait_held())
            ends = [held, waits.create_task(stop.wait())]
            if not self.settings.stands_by:
                ends.append(waits.create_task(self.holder.wait_taken()))
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for one in ends:
                one.cancel()
        if not stop.is_set() and not self.holder.is_held:
            raise IdentityTakenError(agent=self.settings.name)
        return not stop.is_set()

    async def _mind_name(self, instructions: InstructionDesk) -> None:
        await self.holder.wait_taken()
        instructions.abandon()
        raise _Superseded

    async def _drain(self, consumer: InstructionConsumer, instructions: InstructionDesk) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.settings.drain_timeout_s
        await consumer.drain(deadline_s=self.settings.drain_timeout_s)
        await instructions.drain(deadline_s=max(0.0, deadline - clock()))

    async def _watch_exits(self, registry: LocationRegistry, salvage: Salvage) -> None:
        boundary = Boundary("server exit")
        async for ending in self.host.watch():
            log.info("server_exited", server=ending.server.name, how=str(ending))
            output = ""
            with boundary.guard(server=ending.server.name):
                output = await registry.note_exit(ending)
            # Whatever went wrong with its location: what lived on it is closed.
            with boundary.guard(server=ending.server.name):
                salvage.begin(ending, output=output)

    async def _mind_queue(self, consumer: InstructionConsumer, *, bell: Bell, started: asyncio.Event | None) -> None:
        """Say so when the broker is there and the agent's queue is not, and say when all is well."""
        settings, patience_s = self.settings, _QUEUE_PATIENCE_S
        while True:
            await self.connection.wait_connected()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await consumer.wait_consuming()
                    # An agent that was created just now is heard of at once, not at its next heartbeat.
                    bell.ring()
                    if started is not None:
                        started.set()
            if not consumer.is_consuming:
                remedy = f"create the agent with `isthmus agent create {settings.name}`; this one keeps trying"
                if self.holder.is_refused:
                    remedy = _TAKEN_REMEDY
                log.warning(
                    "agent_queue_unavailable", deployment=settings.deployment, agent=settings.name, remedy=remedy
                )
                patience_s = _QUEUE_REMINDER_S
                continue
            await asyncio.sleep(_QUEUE_REMINDER_S)

    def _instructions(self, desk: AttemptDesk, *, tasks: asyncio.TaskGroup) -> InstructionDesk:
        intake = IntakeJournal(self.folder / "intake")
        return InstructionDesk(routes(desk), publisher=self.publisher, tasks=tasks, intake=intake, waiting=desk.waiting)

    def _consumer(self, instructions: InstructionDesk, *, lock: Intake) -> InstructionConsumer:
        settings = self.settings
        return InstructionConsumer(
            self.broker,
            deployment=settings.deployment,
            agent=settings.name,
            prefetch=settings.prefetch,
            handle=instructions.handle,
            allowed_sender=settings.allowed_sender or None,
            lock=lock,
            holding=self.holder,
        )

    def _relay(self, tasks: asyncio.TaskGroup) -> InstanceRelay:
        return InstanceRelay(
            self.connection,
            deployment=self.settings.deployment,
            agent=self.settings.name,
            tasks=tasks,
            wait_heard=self.holder.wait_held,
            allowed_sender=self.settings.allowed_sender or None,
        )

    def _desk(self, registry: LocationRegistry, *, ledger: AttemptLedger, drain: DrainSwitch) -> AttemptDesk:
        return AttemptDesk(
            registry=registry,
            ledger=ledger,
            tombstones=Tombstones(self.folder / "tombstones"),
            locks=RunLocks(),
            placing=RunLocks(),
            waiting=WaitingLaunches(),
            holder=self.holder,
            drain=drain,
            location_wait_s=self.settings.location_wait_s,
            cancel_grace_s=self.settings.cancel_grace_s,
            runs_root=self.folder / "runs",
        )

    def _upkeep(self, desk: AttemptDesk) -> Upkeep:
        return Upkeep(
            ledger=desk.ledger,
            tombstones=desk.tombstones,
            runs_root=desk.runs_root,
            runs_dir=desk.registry.runs_dir,
            run_files_kept_s=self.settings.run_files_kept_s,
        )

    def _registry_settings(self) -> RegistrySettings:
        settings = self.settings
        return RegistrySettings(
            deployment=settings.deployment,
            agent=settings.name,
            data_dir=self.folder,
            broker_url=settings.server_broker_url,
            heartbeat_interval_s=settings.heartbeat_s,
            cancel_grace_s=settings.cancel_grace_s,
            load_timeout_s=settings.load_timeout_s,
            policy=self.policy,
            timing=KeeperTiming(restart_min_s=settings.restart_min_s, restart_max_s=settings.restart_max_s),
        )
