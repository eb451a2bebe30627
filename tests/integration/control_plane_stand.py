"""A control plane on a stand: the real service, and beside it an agent's and a monitor's part of the contract."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus.v1.control_plane_pb2_grpc import ControlPlaneStub
from isthmus.v1.instruction_pb2 import CodeSource, Instruction
from isthmus_broker.instructions import InstructionConsumer, Recipient
from isthmus_broker.notices import Notice, NoticePublisher
from isthmus_broker.publisher import Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_control_plane.service import run_control_plane
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_store import agents, events, placements, runs, snapshots
from isthmus_store.database import Database
from isthmus_store.record.agent import AgentHeard
from isthmus_store.record.location import PlacementReport
from isthmus_store.signal import RunSignal
from isthmus_store.state import AgentState, LocationPhase
from support.caller import channel_to
from support.eventually import patiently

#: Any free port, and loops that do not keep a test waiting.
_DEFAULTS: dict[str, Any] = {"listen": "127.0.0.1:0", "sweep_interval_s": 0.2}
RAW, CLEAN = telemetry_pb2.AssetKey(path=["raw"]), telemetry_pb2.AssetKey(path=["clean"])
SNAPSHOT = telemetry_pb2.LocationSnapshot(
    jobs=[
        telemetry_pb2.JobSnapshot(
            name="nightly",
            partitions=telemetry_pb2.PartitionsSnapshot(kind="static", keys=["north", "south"]),
            tags={"team": "core", "tier": "1"},
        ),
        telemetry_pb2.JobSnapshot(name="__ASSET_JOB", is_implicit_asset_job=True, assets=[RAW, CLEAN]),
    ],
    assets=[
        telemetry_pb2.AssetSnapshot(key=RAW, is_executable=True),
        telemetry_pb2.AssetSnapshot(key=CLEAN, is_executable=True),
    ],
)


@dataclass
class FakeAgent:
    """Consumes an agent's queues and keeps what comes."""

    settings: BrokerSettings
    name: str
    settle: Callable[[Instruction], Settlement] = lambda _: Settlement.ACK
    received: "asyncio.Queue[Instruction]" = field(default_factory=asyncio.Queue)

    async def handle(self, instruction: Instruction) -> Settlement:
        self.received.put_nowait(instruction)
        return self.settle(instruction)

    async def next(self, kind: str, *, within: float = 10.0) -> Instruction:
        """The next instruction of a kind; others are passed over."""
        async with patiently(within):
            while True:
                instruction = await self.received.get()
                if instruction.WhichOneof("body") == kind:
                    return instruction


@dataclass
class Stand:
    """What a test works with."""

    stub: Any
    address: str
    settings: ControlPlaneSettings
    database: Database
    broker: BrokerSettings
    stop: asyncio.Event
    ended: asyncio.Event
    #: What locations define that serve.
    snapshot: telemetry_pb2.LocationSnapshot = field(default_factory=lambda: SNAPSHOT)

    async def create_agent(self, name: str = "alpha", *, pool: str = "") -> api.Agent:
        agent: api.Agent = await self.stub.CreateAgent(api.CreateAgentRequest(name=name, pool=pool))
        return agent

    async def apply(self, name: str = "sales", **settings: Any) -> api.Location:
        wanted = api.LocationSettings(name=name, source=CodeSource(module="sales.definitions"), **settings)
        location: api.Location = await self.stub.ApplyLocation(api.ApplyLocationRequest(settings=wanted))
        return location

    async def hear(
        self,
        name: str = "alpha",
        *,
        state: AgentState = AgentState.ONLINE,
        incarnation: str = "life-1",
        revision: int = 1,
    ) -> None:
        """Do what the monitor does on a heartbeat."""
        news = AgentHeard(
            deployment="default",
            name=name,
            state=state,
            heard_at=datetime.now(UTC),
            started_at=datetime.now(UTC),
            incarnation=incarnation,
            version="0.1.0",
            desired_revision=revision,
            active_runs=(),
        )
        async with self.database.write() as tx:
            await agents.heard(tx, [news])
        await self.tell(Notice(agents=frozenset({f"default/{name}"})))

    async def report(
        self,
        location: str = "sales",
        *,
        agent: str = "alpha",
        generation: int = 1,
        phase: LocationPhase = LocationPhase.SERVING,
        failure: telemetry_pb2.Failure | None = None,
        snapshot: telemetry_pb2.LocationSnapshot | None = None,
    ) -> None:
        """Do what the monitor does on a location's report."""
        body = (snapshot or self.snapshot).SerializeToString(deterministic=True)
        is_serving = phase is LocationPhase.SERVING
        report = PlacementReport(
            generation=generation,
            phase=phase,
            serving_generation=generation if is_serving else 0,
            failure=failure.SerializeToString() if failure else b"",
            snapshot_hash=sha256(body).hexdigest() if is_serving else "",
            framework="dagster 1.13.0",
            python_version="3.11.7",
            reported_at=datetime.now(UTC),
        )
        async with self.database.write() as tx:
            await snapshots.put(tx, snapshot_hash=sha256(body).hexdigest(), body=body, at=datetime.now(UTC))
            known = await placements.get(tx, deployment="default", location=location, agent=agent)
            assert known is not None
            await placements.save(tx, placements.reported(known, report))
        await self.tell(Notice(locations=frozenset({f"default/{location}"})))

    async def serve(self) -> None:
        """Bring up agent alpha with location sales."""
        await self.create_agent()
        await self.apply()
        await self.hear()
        await self.report()

    async def record(self, run_id: str, *news: telemetry_pb2.Event, signal: RunSignal | None = None) -> None:
        """Do what the monitor does on a run's events."""
        at = datetime.now(UTC)
        async with self.database.write() as tx:
            if signal is not None:
                await runs.signal(tx, run_id, signal, at=at)
            new = [events.new_event(event) for event in news]
            await events.append(tx, run_id, attempt=1, events=new, stored_at=at)
        await self.tell(Notice(runs=frozenset({run_id})))

    async def tell(self, notice: Notice) -> None:
        async with Publisher(self.broker) as publisher:
            await publisher.wait_connected()
            await NoticePublisher(publisher).publish(notice)

    async def launch(self, **fields: Any) -> api.Run:
        run: api.Run = await self.stub.LaunchRun(
            api.LaunchRunRequest(**{"location": "sales", "job_name": "nightly"} | fields)
        )
        return run

    async def run(self, run_id: str) -> api.Run:
        run: api.Run = await self.stub.GetRun(api.GetRunRequest(run_id=run_id))
        return run

    @asynccontextmanager
    async def agent(
        self, name: str = "alpha", *, settle: Callable[[Instruction], Settlement] = lambda _: Settlement.ACK
    ) -> AsyncIterator[FakeAgent]:
        """Consume an agent's queues."""
        fake = FakeAgent(self.broker, name, settle)
        consumer = InstructionConsumer(self.broker, Recipient("default", name), prefetch=8, handle=fake.handle)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(consumer.run())
            await consumer.wait_consuming()
            yield fake
            await consumer.drain(deadline_s=5)
            task.cancel()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeAgent]:
        """Bring up agent alpha with location sales, and consume its queues."""
        await self.serve()
        async with self.agent() as agent:
            yield agent

    @asynccontextmanager
    async def answering(
        self,
        answer: Callable[[Instruction], telemetry_pb2.InstructionResult | None],
        *,
        name: str = "alpha",
        gate: asyncio.Event | None = None,
    ) -> AsyncIterator[None]:
        """Consume an agent's queues and answer its questions, each once the gate is open."""
        async with Publisher(self.broker) as publisher:
            await publisher.wait_connected()
            source = telemetry_pb2.Source(deployment="default", agent=name)
            telemetry = TelemetryPublisher(publisher, source=source)

            async def handle(instruction: Instruction) -> Settlement:
                result = answer(instruction) if instruction.reply_to else None
                if result is not None:
                    if gate is not None:
                        await gate.wait()
                    result.instruction_id = instruction.id
                    await telemetry.answer(instruction.reply_to, telemetry_pb2.Event(instruction_result=result))
                return Settlement.ACK

            consumer = InstructionConsumer(self.broker, Recipient("default", name), prefetch=8, handle=handle)
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(consumer.run())
                await consumer.wait_consuming()
                yield
                await consumer.drain(deadline_s=5)
                task.cancel()


@asynccontextmanager
async def control_plane(
    broker_url: str, database_url: str, *, broker_seen_at: str = "", **overrides: Any
) -> AsyncIterator[Stand]:
    """Run the service; `broker_seen_at` is the address that it uses, when that is another than the test's own."""
    settings = ControlPlaneSettings(
        broker_url=broker_seen_at or broker_url,
        database_url=database_url,
        **{**_DEFAULTS, **overrides},
    )
    stop, started, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    addresses: list[str] = []

    async def serve() -> None:
        try:
            await run_control_plane(settings, stop=stop, started=started, bound=addresses.append)
        finally:
            ended.set()
            started.set()

    async with asyncio.TaskGroup() as tasks, Database.open(database_url) as database:
        tasks.create_task(serve())
        await started.wait()
        async with channel_to(addresses[0]) as channel:
            broker = BrokerSettings(url=broker_url, connection_name="test")
            yield Stand(ControlPlaneStub(channel), addresses[0], settings, database, broker, stop, ended)
        stop.set()
        await ended.wait()


def violations_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """The field violations of a refused call, by field."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    for box in status.details:
        if box.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            detail = error_details_pb2.BadRequest()
            box.Unpack(detail)
            return {it.field: it.description for it in detail.field_violations}
    return {}
