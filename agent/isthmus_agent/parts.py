"""The parts of an agent, put together: made anew each time that its process becomes the agent of the name."""

import asyncio
from dataclasses import dataclass

from isthmus_broker.instructions import Hold, InstructionConsumer, Recipient

from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.salvage import Salvage
from isthmus_agent.attempts.tombstones import Tombstones
from isthmus_agent.attempts.upkeep import Upkeep
from isthmus_agent.branches import BranchAgents, Serve
from isthmus_agent.clock import now
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.heartbeat import Bell, LifeSigns
from isthmus_agent.instance.relay import InstanceRelay
from isthmus_agent.instructions.dispatch import InstructionDispatcher
from isthmus_agent.instructions.routes import routes
from isthmus_agent.instructions.run_locks import RunLocks
from isthmus_agent.instructions.tools import RunTools
from isthmus_agent.instructions.waiting import WaitingLaunches
from isthmus_agent.intake.journal import IntakeJournal
from isthmus_agent.locations.listeners import Listeners
from isthmus_agent.locations.registry import LocationRegistry
from isthmus_agent.locations.reporter import LocationReporter
from isthmus_agent.locations.settings import RegistrySettings
from isthmus_agent.means import Means
from isthmus_agent.servers.wanted import KeeperTiming


@dataclass(frozen=True)
class Parts:
    """The parts; nothing of them runs before its `run` is called, and nothing is done before the name is held."""

    bell: Bell
    reporter: LocationReporter
    registry: LocationRegistry
    tools: RunTools
    salvage: Salvage
    #: For what code servers ask, and the agent itself.
    relay: InstanceRelay
    intake: IntakeJournal
    instructions: InstructionDispatcher
    consumer: InstructionConsumer
    branches: BranchAgents

    def signs(self, means: Means) -> LifeSigns:
        """Return where the facts of heartbeats come from, for an agent that begins now."""
        return LifeSigns(
            registry=self.registry,
            ledger=self.tools.ledger,
            salvage=self.salvage,
            drain=self.tools.drain,
            started_at=now(),
            folder_id=means.folder_id,
            load_timeout_s=means.settings.load_timeout_s,
            branches=self.branches.kept,
        )

    def upkeep(self, *, run_files_kept_s: float) -> Upkeep:
        """Return what removes the files of runs."""
        return Upkeep(
            ledger=self.tools.ledger,
            tombstones=self.tools.tombstones,
            runs_root=self.tools.runs_root,
            runs_dir=self.registry.runs_dir,
            run_files_kept_s=run_files_kept_s,
        )


def parts_of(means: Means, *, tasks: asyncio.TaskGroup, serve: Serve) -> Parts:
    """Make the parts; what each keeps going goes on in `tasks`. The caller closes the intake.

    Args:
        means: What the process has.
        tasks: For what goes on.
        serve: Is the agent of a branch deployment.
    """
    bell = Bell()
    branches = BranchAgents(means, serve=serve, tasks=tasks, on_change=bell.ring)
    reporter = LocationReporter(means.publisher)
    relay = _relay(means, tasks=tasks)
    registry = LocationRegistry(
        _registry_settings(means),
        host=means.host,
        tasks=tasks,
        listeners=Listeners(reporter.report, bell.ring, relay.attend, branches.want),
    )
    tools = _tools(means, registry=registry, drain=DrainSwitch(bell.ring))
    intake = IntakeJournal(means.folder / "intake")
    instructions = InstructionDispatcher(
        routes(tools), publisher=means.publisher, tasks=tasks, intake=intake, waiting=tools.waiting
    )
    return Parts(
        bell=bell,
        reporter=reporter,
        registry=registry,
        tools=tools,
        salvage=Salvage(ledger=tools.ledger, publisher=means.publisher, runs_dir=registry.runs_dir, tasks=tasks),
        relay=relay,
        intake=intake,
        instructions=instructions,
        consumer=_consumer(means, instructions, relay=relay),
        branches=branches,
    )


def _consumer(means: Means, instructions: InstructionDispatcher, *, relay: InstanceRelay) -> InstructionConsumer:
    return InstructionConsumer(
        means.broker,
        _recipient(means),
        prefetch=means.settings.prefetch,
        handle=instructions.handle,
        hold=Hold(relay.answers, means.holder),
    )


def _relay(means: Means, *, tasks: asyncio.TaskGroup) -> InstanceRelay:
    return InstanceRelay(means.connection, _recipient(means), tasks=tasks, wait_heard=means.holder.wait_held)


def _recipient(means: Means) -> Recipient:
    settings = means.settings
    return Recipient(settings.deployment, settings.name, settings.allowed_sender or None)


def _tools(means: Means, *, registry: LocationRegistry, drain: DrainSwitch) -> RunTools:
    return RunTools(
        registry=registry,
        ledger=AttemptLedger(means.folder / "attempts"),
        tombstones=Tombstones(means.folder / "tombstones"),
        locks=RunLocks(),
        placing=RunLocks(),
        waiting=WaitingLaunches(),
        holder=means.holder,
        drain=drain,
        location_wait_s=means.settings.location_wait_s,
        cancel_grace_s=means.settings.cancel_grace_s,
        runs_root=means.folder / "runs",
    )


def _registry_settings(means: Means) -> RegistrySettings:
    settings = means.settings
    return RegistrySettings(
        deployment=settings.deployment,
        agent=settings.name,
        data_dir=means.folder,
        broker_url=settings.server_broker_url,
        heartbeat_interval_s=settings.heartbeat_s,
        cancel_grace_s=settings.cancel_grace_s,
        load_timeout_s=settings.load_timeout_s,
        policy=means.policy,
        timing=KeeperTiming(restart_min_s=settings.restart_min_s, restart_max_s=settings.restart_max_s),
    )
