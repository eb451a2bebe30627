"""An agent's handlers as they are put together in an agent, without broker and engine, and hostile code servers below them."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.tombstones import Tombstones
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.hosts.errors import ServerStartError
from isthmus_agent.hosts.host import OnStep, Server, ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.hosts.process.host import ProcessHost
from isthmus_agent.identity import Holder
from isthmus_agent.instance.relay import InstanceRelay
from isthmus_agent.instructions.dispatch import InstructionDispatcher
from isthmus_agent.instructions.routes import routes
from isthmus_agent.instructions.run_locks import RunLocks
from isthmus_agent.instructions.tools import RunTools
from isthmus_agent.instructions.waiting import WaitingLaunches
from isthmus_agent.intake.journal import IntakeJournal
from isthmus_agent.locations.listeners import Listeners
from isthmus_agent.locations.registry import LocationRegistry
from isthmus_agent.locations.settings import RegistrySettings
from isthmus_agent.policy.judge import Policy
from isthmus_agent.servers.wanted import KeeperTiming
from isthmus_broker.instructions import Recipient
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher, decode_batch
from isthmus_broker.topology import ANSWERS, TELEMETRY
from support.hostile import Hostile
from support.hostile_code_server import HostileCodeServer, serve

#: Where the code server says honestly what it defines.
KNOWN = "sales"


class _Over(Exception):  # noqa: N818 (ends the task group, as the end of an agent does)
    """The world is over."""


class OddHost(ProcessHost):
    """Starts no process: there are two code servers, of which one cannot even be loaded, and one location has none."""

    def __init__(self, folder: Path) -> None:
        super().__init__(servers_dir=folder / "servers", runtime_dir=folder / "run", deployment="test", agent="edge")
        self._folder = folder
        self._numbers = itertools.count(1)

    async def start(self, spec: ServerSpec, *, on_step: OnStep = lambda _step, _progress: None) -> Server:
        if spec.location == "etl":
            raise ServerStartError(server=server_name(spec), problem="there is nothing to start")
        socket = self._folder / ("known" if spec.location == KNOWN else "odd")
        life = str(next(self._numbers))
        return Server(server_name(spec), spec.location, spec.generation, life, f"unix:{socket}", spec.slot)

    async def stop(self, server: Server, *, grace_s: float) -> None:
        return

    async def memory_bytes(self, server: Server) -> int:
        return 0


class Mailbox(Publisher):
    """Takes what the agent publishes, as the broker would: as bytes within its size."""

    def __init__(self) -> None:
        super().__init__(BrokerSettings("amqp://agent@localhost"))
        #: How many results there were for each instruction, and how they ended.
        self.results: Counter[str] = Counter()
        self.outcomes: dict[str, telemetry.InstructionResult] = {}
        self.queries = 0

    async def wait_connected(self) -> None:
        return

    async def publish(self, message: OutgoingMessage) -> None:
        self._check_size(message)
        self._amqp_message(message)
        if message.exchange not in (TELEMETRY, ANSWERS):
            self.queries += 1
            return
        for event in decode_batch(message.body, content_encoding=message.content_encoding).events:
            if event.HasField("instruction_result"):
                self.results[event.instruction_result.instruction_id] += 1
                self.outcomes[event.instruction_result.instruction_id] = event.instruction_result


@dataclass
class World:
    """One agent's handlers, and what they say."""

    registry: LocationRegistry
    tools: RunTools
    instructions: InstructionDispatcher
    intake: IntakeJournal
    relay: InstanceRelay
    mailbox: Mailbox
    servers: list[HostileCodeServer] = field(default_factory=list)

    def calm(self) -> None:
        """Let the code servers be honest from now on."""
        for server in self.servers:
            server.is_honest = True


@asynccontextmanager
async def agent_world(folder: Path, *, hostile: Hostile) -> AsyncIterator[World]:
    """The handlers of an agent over `folder`, in which an earlier life may have left something."""
    mailbox, holder = Mailbox(), Holder("test.edge")
    holder.note_held()
    servers = [HostileCodeServer(hostile, is_described=is_described) for is_described in (True, False)]
    listening = [
        await serve(server, socket=folder / name) for server, name in zip(servers, ("known", "odd"), strict=True)
    ]
    try:
        async with OddHost(folder) as host, asyncio.TaskGroup() as tasks:
            relay = InstanceRelay(mailbox, Recipient("test", "edge"), tasks=tasks, wait_heard=holder.wait_held)
            registry = _registry(folder, host=host, tasks=tasks, relay=relay)
            tools = _tools(folder, registry=registry, holder=holder)
            source = telemetry.Source(deployment="test", agent="edge", incarnation="life")
            intake = IntakeJournal(folder / "intake")
            instructions = InstructionDispatcher(
                routes(tools),
                publisher=TelemetryPublisher(mailbox, source=source),
                tasks=tasks,
                intake=intake,
                waiting=tools.waiting,
            )
            registry.begin(())
            instructions.begin()
            tasks.create_task(instructions.run())
            yield World(registry, tools, instructions, intake, relay, mailbox, servers)
            await registry.close()
            intake.close()
            _end()
    except* _Over:
        pass
    finally:
        for server in listening:
            await server.stop(grace=0)


def _registry(folder: Path, *, host: OddHost, tasks: asyncio.TaskGroup, relay: InstanceRelay) -> LocationRegistry:
    settings = RegistrySettings(
        deployment="test",
        agent="edge",
        data_dir=folder,
        broker_url="amqp://localhost",
        heartbeat_interval_s=5,
        cancel_grace_s=5,
        load_timeout_s=5,
        policy=Policy(),
        timing=KeeperTiming(reload_min_s=0.05, restart_min_s=0.05),
    )
    listeners = Listeners(lambda _name, _event: None, lambda: None, relay.attend)
    return LocationRegistry(settings, host=host, tasks=tasks, listeners=listeners)


def _tools(folder: Path, *, registry: LocationRegistry, holder: Holder) -> RunTools:
    return RunTools(
        registry=registry,
        ledger=AttemptLedger(folder / "attempts"),
        tombstones=Tombstones(folder / "tombstones"),
        locks=RunLocks(),
        placing=RunLocks(),
        waiting=WaitingLaunches(),
        holder=holder,
        drain=DrainSwitch(lambda: None),
        location_wait_s=0.1,
        cancel_grace_s=0.5,
        runs_root=folder / "runs",
    )


def _end() -> NoReturn:
    raise _Over
