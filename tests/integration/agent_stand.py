"""An agent on its stand: a real broker and real code servers, with the test in the place of control plane and monitor."""

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import aio_pika
from google.protobuf.message import Message
from isthmus.v1.instruction_pb2 import (
    FetchLogs,
    Instruction,
    LaunchRun,
    LocationSpec,
    LogCursor,
    SyncLocations,
    TerminateRun,
)
from isthmus.v1.telemetry_pb2 import Event, InstructionResult, LocationPhase, LocationReport, RunRef
from isthmus_agent.agent import run_agent
from isthmus_agent.hosts.process import procfs
from isthmus_agent.hosts.process.host import ProcessHost
from isthmus_agent.settings import AgentSettings
from isthmus_broker.answers import Answer, AnswerListener
from isthmus_broker.declaring import declare, declare_agent
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.telemetry import decode_batch
from isthmus_broker.topology import INSTRUCTIONS, TELEMETRY, instruction_queue
from pydantic import SecretStr
from support.eventually import eventually, patiently

#: A project that tells by files what it does, so that a test sees it happen, or not happen twice.
PROJECT = dedent(
    """
    import os, sys, time
    from pathlib import Path
    from dagster import Definitions, RunRequest, in_process_executor, job, op, schedule, sensor

    if os.environ.get("BROKEN"):
        raise RuntimeError("these definitions are broken")
    gate = os.environ.get("GATE")
    while gate and not Path(gate).exists():
        time.sleep(0.02)

    def note(name):
        with open(Path(os.environ["NOTES"]) / name, "a") as file:
            file.write(f"{os.getpid()}\\n")

    @op
    def quick():
        print("said on stdout")
        print("said on stderr", file=sys.stderr)
        note("quick")

    @op
    def endless():
        note("endless")
        time.sleep(600)

    @job(executor_def=in_process_executor)
    def quick_job():
        quick()

    @job(executor_def=in_process_executor)
    def endless_job():
        endless()

    @schedule(job=quick_job, cron_schedule="0 0 * * *")
    def nightly(context):
        return RunRequest(run_key="night")

    @sensor(job=quick_job)
    def watcher(context):
        context.update_cursor("after")
        yield RunRequest(run_key=f"seen-{context.cursor}")

    defs = Definitions(jobs=[quick_job, endless_job], schedules=[nightly], sensors=[watcher])
    """
)

TERMINAL = {"run_succeeded", "run_failed", "run_canceled"}


@dataclass
class AgentStand:
    """One agent's place at the broker, its folder, and all that it says."""

    broker: BrokerSettings
    folder: Path
    publisher: Publisher
    events: list[Event] = field(default_factory=list)
    answers: list[InstructionResult] = field(default_factory=list)
    reply_to: str = field(default_factory=lambda: uuid.uuid4().hex)
    _revisions: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def notes(self) -> Path:
        return self.folder / "notes"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def noted(self, name: str) -> list[str]:
        path = self.notes / name
        return path.read_text().split() if path.exists() else []

    def settings(self, **overrides: object) -> AgentSettings:
        values = {
            "name": "edge",
            "deployment": "test",
            "broker_url": SecretStr(self.broker.url),
            "data_dir": self.data_dir,
            "runtime_dir": self.folder / "run",
            "heartbeat_s": 0.5,
            "restart_min_s": 0.05,
            "cancel_grace_s": 2.0,
        }
        return AgentSettings.model_validate(values | overrides)

    @asynccontextmanager
    async def agent(self, **overrides: object) -> AsyncIterator[asyncio.Event]:
        """An agent's life; its code servers go on after it. Gives the event that stops it."""
        stop, started = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run_agent(self.settings(**overrides), stop=stop, started=started))
            async with patiently(15):
                await started.wait()
            yield stop
            stop.set()

    # ------------------------------------------------------------------------------------------------------- to say

    def location(self, *, generation: int = 1, name: str = "sales", **env: str) -> LocationSpec:
        spec = LocationSpec(name=name, generation=generation)
        spec.source.python_file = str(self.folder / "project.py")
        spec.source.working_directory = str(self.folder)
        spec.env.update({"NOTES": str(self.notes), **env})
        return spec

    async def tell(self, *, in_s: float | None = 60, is_question: bool = False, **body: Message) -> str:
        """Send an instruction with a body, named as in the contract, or without one; returns its id."""
        instruction = Instruction(id=uuid.uuid4().hex, deployment="test", agent="edge")
        for name, message in body.items():
            getattr(instruction, name).CopyFrom(message)
            getattr(instruction, name).SetInParent()
        if in_s is not None:
            instruction.not_after.FromNanoseconds(int((time.time() + in_s) * 1e9))
        if is_question:
            instruction.reply_to = self.reply_to
        await self.send(instruction)
        return instruction.id

    async def send(self, instruction: Instruction) -> None:
        is_control = instruction.WhichOneof("body") in {"terminate_run", "drain_agent"}
        await InstructionPublisher(self.publisher).publish(instruction, is_control=is_control)

    async def send_bytes(self, body: bytes) -> None:
        key = instruction_queue("test", "edge")
        await self.publisher.publish(OutgoingMessage(exchange=INSTRUCTIONS, routing_key=key, body=body))

    async def sync(self, *locations: LocationSpec, revision: int | None = None) -> InstructionResult:
        desired = SyncLocations(revision=revision or next(self._revisions), locations=locations)
        return await self.result(await self.tell(sync_locations=desired))

    async def serve(self, *, generation: int = 1, **env: str) -> LocationReport:
        """Make a generation of the location serve."""
        await self.sync(self.location(generation=generation, **env))
        return await self.report(LocationPhase.LOCATION_PHASE_SERVING, generation=generation)

    def launch(self, job: str, run: RunRef, *, location: str = "sales") -> LaunchRun:
        body = LaunchRun()
        body.request.run.CopyFrom(run)
        body.request.location, body.request.job_name = location, job
        return body

    async def start(self, job: str, run: RunRef) -> InstructionResult:
        return await self.result(await self.tell(launch_run=self.launch(job, run)))

    async def terminate(self, run: RunRef) -> InstructionResult:
        return await self.result(await self.tell(terminate_run=TerminateRun(run=run, grace_s=1)))

    async def logs(self, run: RunRef, *, max_bytes: int = 0, cursors: Sequence[LogCursor] = ()) -> InstructionResult:
        body = FetchLogs(run=run, location="sales", max_bytes=max_bytes, cursors=cursors)
        return await self.answer(await self.tell(fetch_logs=body, is_question=True))

    # ------------------------------------------------------------------------------------------------------- to hear

    async def result(self, instruction_id: str, *, within: float = 30) -> InstructionResult:
        return await eventually(lambda: next(iter(self.results(instruction_id)), None), within=within)

    def results(self, instruction_id: str) -> list[InstructionResult]:
        all_results = [event.instruction_result for event in self.events if event.HasField("instruction_result")]
        return [result for result in all_results if result.instruction_id == instruction_id]

    async def answer(self, instruction_id: str) -> InstructionResult:
        return await eventually(
            lambda: next((one for one in self.answers if one.instruction_id == instruction_id), None), within=30
        )

    def reports(self) -> list[LocationReport]:
        return [event.location_report for event in self.events if event.HasField("location_report")]

    def phases(self) -> "dict[str, LocationPhase.ValueType]":
        """What was told last of each location."""
        return {report.location: report.phase for report in self.reports()}

    async def report(self, phase: "LocationPhase.ValueType", *, generation: int = 1, after: int = 0) -> LocationReport:
        def find() -> LocationReport | None:
            found = (one for one in self.reports()[after:] if one.phase == phase and one.generation == generation)
            return next(found, None)

        return await eventually(find, within=40)

    def run_events(self, run: RunRef) -> list[Event]:
        """A run's events in their order, each once, however often it was published."""
        by_seq = {event.seq: event for event in self.events if event.run == run and event.seq}
        return [by_seq[seq] for seq in sorted(by_seq)]

    async def run_event(self, run: RunRef, *bodies: str, within: float = 30) -> Event:
        def find() -> Event | None:
            return next((event for event in self.run_events(run) if event.WhichOneof("body") in bodies), None)

        return await eventually(find, within=within)

    async def end(self, run: RunRef, *, within: float = 30) -> Event:
        return await self.run_event(run, *TERMINAL, within=within)

    async def heartbeat(self, check: Callable[[Event], bool]) -> Event:
        def find() -> Event | None:
            beats = (event for event in reversed(self.events) if event.HasField("agent_heartbeat"))
            return next((beat for beat in beats if check(beat)), None)

        return await eventually(find, within=15)

    def note_answer(self, answer: Answer) -> None:
        self.answers.append(answer.event.instruction_result)


def new_run(attempt: int = 1) -> RunRef:
    return RunRef(run_id=str(uuid.uuid4()), attempt=attempt)


@asynccontextmanager
async def agent_stand(*, url: str, folder: Path) -> AsyncIterator[AgentStand]:
    """A stand whose agent was created, and not started yet."""
    broker = BrokerSettings(url)
    await declare(broker, monitor_shards=1)
    await declare_agent(broker, deployment="test", agent="edge")
    _write_project(folder)
    async with Publisher(broker) as publisher, await aio_pika.connect(url) as connection:
        await publisher.wait_connected()
        stand = AgentStand(broker=broker, folder=folder, publisher=publisher)
        await _tap(connection, stand)
        listener = AnswerListener(broker, reply_to=stand.reply_to, on_answer=stand.note_answer)
        try:
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(listener.run())
                await listener.wait_listening()
                yield stand
                listening.cancel()
        finally:
            await _end_servers(stand)


def _write_project(folder: Path) -> None:
    (folder / "notes").mkdir()
    (folder / "project.py").write_text(PROJECT)


async def _tap(connection: aio_pika.abc.AbstractConnection, stand: AgentStand) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(TELEMETRY, routing_key="#")

    async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        stand.events.extend(decode_batch(message.body, content_encoding=message.content_encoding).events)

    await queue.consume(note, no_ack=True)


async def _end_servers(stand: AgentStand) -> None:
    host = ProcessHost(
        servers_dir=stand.data_dir / "servers", runtime_dir=stand.folder / "run", deployment="test", agent="edge"
    )
    async with host:
        for server in await host.list():
            await host.stop(server, grace_s=0)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped by whoever adopted it does not."""
    return procfs.start_ticks(pid) is not None


def server_pids(stand: AgentStand) -> list[int]:
    """The code servers' processes, by their records."""
    records = (stand.data_dir / "servers").glob("*/record.json")
    return [json.loads(record.read_text())["pid"] for record in records]
