"""One deployment with one agent, and a monitor that watches it: what the tests of the monitor have in hand."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event, RunRef, Source
from isthmus_broker.link import connect
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TELEMETRY, TelemetryKind, agent_telemetry_queue
from isthmus_monitor.service import run_monitor
from isthmus_monitor.settings import MonitorSettings
from isthmus_store import agents, events, outbox, placements, runs
from isthmus_store.database import Database
from isthmus_store.record.agent import Agent
from isthmus_store.record.event import StoredEvent
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.location import Placement
from isthmus_store.record.run import NewRun, Run
from isthmus_store.signal import Accepted, Dispatched
from isthmus_store.state import RunState
from support.eventually import patiently

CODE_SERVER = Source(deployment="prod", agent="lab", location="etl", generation=1, incarnation="cs-1")
AGENT = Source(deployment="prod", agent="lab", incarnation="life-1")
#: Where what the agent says waits for the monitor.
OWN_QUEUE = agent_telemetry_queue("prod", "lab")
SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class World:
    """One deployment with one agent, and the test's hands in it."""

    broker: BrokerSettings
    database: Database
    database_url: str

    def settings(self, **changes: object) -> MonitorSettings:
        values = {"broker_url": self.broker.url, "database_url": self.database_url, **changes}
        return MonitorSettings.model_validate(values)

    async def dispatched(self, *, agent: str = "lab") -> Run:
        run = NewRun(
            run_id=str(uuid4()), deployment="prod", location="etl", job_name="nightly", request=b"", queued_at=now()
        )
        async with self.database.write() as tx:
            await runs.insert(tx, run)
            return (await runs.signal(tx, run.run_id, Dispatched(attempt=1, agent=agent), at=now())).run

    async def accepted(self) -> Run:
        run = await self.dispatched()
        async with self.database.write() as tx:
            return (await runs.signal(tx, run.run_id, Accepted(attempt=1), at=now())).run

    async def instruct(self, run: Run, *, kind: str = "launch_run") -> str:
        instruction = NewInstruction(
            id=str(uuid4()),
            deployment="prod",
            agent="lab",
            is_control=kind != "launch_run",
            kind=kind,
            body=b"",
            created_at=now(),
            not_after=now() + timedelta(minutes=5),
            run_id=run.run_id,
            attempt=run.attempt,
        )
        async with self.database.write() as tx:
            await outbox.add(tx, instruction)
        return instruction.id

    async def publish(
        self, *said: Event, source: Source = CODE_SERVER, kind: TelemetryKind = TelemetryKind.RUN
    ) -> None:
        async with Publisher(self.broker) as publisher:
            await publisher.wait_connected()
            await TelemetryPublisher(publisher, source=source).publish(kind, said)

    async def publish_raw(self, body: bytes, *, key: str) -> None:
        async with Publisher(self.broker) as publisher:
            await publisher.wait_connected()
            await publisher.publish(OutgoingMessage(TELEMETRY, key, body))

    async def run(self, run: Run) -> Run:
        async with self.database.read() as tx:
            return await runs.existing(tx, run.run_id)

    async def history(self, run: Run) -> list[StoredEvent]:
        async with self.database.read() as tx:
            return await events.after(tx, run.run_id, position=0)

    async def agent(self) -> Agent:
        async with self.database.read() as tx:
            found = await agents.get(tx, deployment="prod", name="lab")
        assert found is not None
        return found

    async def placement(self) -> Placement:
        async with self.database.read() as tx:
            found = await placements.get(tx, deployment="prod", location="etl", agent="lab")
        assert found is not None
        return found

    async def waiting(self, queue: str) -> int:
        async with await connect(self.broker) as connection, connection.channel() as channel:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0

    def until_state(self, run: Run, state: RunState) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            return (await self.run(run)).state is state

        return check


@asynccontextmanager
async def monitor(settings: MonitorSettings) -> AsyncIterator[None]:
    started = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run_monitor(settings, started=started))
        async with patiently(20):
            await started.wait()
        try:
            yield
        finally:
            task.cancel()


def event(run: Run, seq: int, **body: object) -> Event:
    said = Event(run=RunRef(run_id=run.run_id, attempt=run.attempt), seq=seq, **body)  # type: ignore[arg-type]
    said.occurred_at.GetCurrentTime()
    return said


def life(run: Run, *, steps: int = 3) -> list[Event]:
    course = [event(run, 1, run_started=wire.RunStarted(pid=7))]
    course += [event(run, 2 + step, step_started=wire.StepStarted(), step_key=f"s{step}") for step in range(steps)]
    return [*course, event(run, 2 + steps, run_succeeded=wire.RunSucceeded())]


def heartbeat(*active: Run, incarnation: str = "life-1", is_draining: bool = False) -> tuple[Event, Source]:
    body = wire.AgentHeartbeat(
        version="0.1.0",
        is_draining=is_draining,
        desired_revision=4,
        active_runs=[RunRef(run_id=run.run_id, attempt=run.attempt) for run in active],
    )
    body.started_at.GetCurrentTime()
    return Event(agent_heartbeat=body), Source(deployment="prod", agent="lab", incarnation=incarnation)


async def beat(world: World, *active: Run, incarnation: str = "life-1", is_draining: bool = False) -> None:
    said, source = heartbeat(*active, incarnation=incarnation, is_draining=is_draining)
    await world.publish(said, source=source, kind=TelemetryKind.HEARTBEAT)
