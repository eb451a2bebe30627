"""A handler may be cancelled wherever it waits: nothing is lost, nothing is done twice, and neighbours go on."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from integration.agent_stand import TERMINAL, AgentStand, agent_stand, new_run
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus.v1.instruction_pb2 import (
    ISOLATION_DEDICATED,
    EvaluateSchedule,
    EvaluateSensor,
    FetchLogs,
    Instruction,
    LocationSpec,
    LogCursor,
    SyncLocations,
    TerminateRun,
    ValidateRun,
)
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING, LOG_STREAM_STDOUT, InstructionResult, RunRef
from isthmus_agent.agent import run_agent
from isthmus_agent.hosting import host_of
from isthmus_agent.identity import Holder
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.outcome import Later, Outcome, Succeeded
from isthmus_agent.instructions.questions import MOST_OF_ONE_LOCATION
from isthmus_agent.instructions.routes import routes
from isthmus_agent.means import Means
from isthmus_agent.parts import Parts, parts_of
from isthmus_agent.policy.judge import load_policy
from isthmus_agent.settings import AgentSettings
from isthmus_broker.publisher import Publisher
from isthmus_broker.settlement import Settlement
from isthmus_broker.telemetry import TelemetryPublisher
from support.cancelled import cancel_at, cancel_at_each
from support.eventually import eventually

pytestmark = pytest.mark.timeout(300)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED


class Over(Exception):  # noqa: N818 (ends the task group)
    """The test is over."""


@dataclass
class Agent:
    """The parts of an agent without its consumer: the test delivers."""

    stand: AgentStand
    parts: Parts

    def __post_init__(self) -> None:
        self.routes = routes(self.parts.tools)

    async def do(self, kind: str, body: Message) -> Outcome:
        """Handle a body, and find its answer if it takes its time."""
        outcome = await self.routes[kind].handle(body, Envelope(uuid.uuid4().hex, None, ""))
        return await outcome.find() if isinstance(outcome, Later) else outcome

    def want(self, *specs: LocationSpec) -> None:
        desired = SyncLocations(revision=self.parts.registry.revision + 1, locations=specs)
        assert self.parts.registry.sync(desired) == ()

    async def serve(self, *, is_dedicated: bool = False) -> None:
        spec = self.stand.location()
        if is_dedicated:
            spec.isolation = ISOLATION_DEDICATED
        self.want(spec)
        await eventually(lambda: self.stand.phases().get("sales") == LOCATION_PHASE_SERVING, within=60)

    async def launch(self, run: RunRef, job: str = "quick_job", *, location: str = "sales") -> Outcome:
        return await self.do("launch_run", self.stand.launch(job, run, location=location))

    async def terminate(self, run: RunRef) -> Outcome:
        return await self.do("terminate_run", TerminateRun(run=run, grace_s=1))

    async def has_executed_once(self, *runs: RunRef) -> bool:
        for run in runs:
            assert (await self.stand.end(run)).HasField("run_succeeded")
        return len(self.stand.noted("quick")) == len(runs)


async def _serve_branch(settings: AgentSettings, stop: asyncio.Event) -> None:
    await run_agent(settings, stop=stop)


@asynccontextmanager
async def working(stand: AgentStand) -> AsyncIterator[Agent]:
    settings = stand.settings()
    stand.data_dir.mkdir()
    async with (
        host_of(settings, stand.data_dir, policy=load_policy(None)) as host,
        Publisher(stand.broker) as publisher,
    ):
        await publisher.wait_connected()
        telling = TelemetryPublisher(publisher, source=telemetry.Source(deployment="test", agent="edge"))
        holder = Holder("test.edge")
        holder.note_held()
        means = Means(
            settings=settings,
            folder=stand.data_dir,
            folder_id="stand",
            host=host,
            policy=load_policy(None),
            broker=stand.broker,
            holder=holder,
            publisher=telling,
            farewell=telling,
            connection=publisher,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = parts_of(means, tasks=tasks, serve=_serve_branch)
                parts.registry.begin(await host.list())
                tasks.create_task(parts.reporter.run())
                parts.instructions.begin()

                async def note_exits() -> None:
                    async for ending in host.watch():
                        await parts.registry.note_exit(ending)
                        parts.salvage.begin(ending)

                tasks.create_task(note_exits())
                yield Agent(stand, parts)
                await parts.registry.close()
                parts.intake.close()
                _end()
        except* Over:
            pass


def _end() -> None:
    raise Over


@pytest.fixture
async def stand(broker_url: str, tmp_path: Path) -> AsyncIterator[AgentStand]:
    async with agent_stand(url=broker_url, folder=tmp_path) as it:
        yield it


async def test_a_shared_launch_may_be_cancelled_at_each_await(stand: AgentStand) -> None:
    async with working(stand) as it:
        await it.serve()
        neighbour = new_run()
        await it.launch(neighbour, "endless_job")
        runs: dict[int, RunRef] = {}

        async def again(at: int) -> None:
            assert isinstance(await it.launch(runs[at]), Succeeded)

        assert await cancel_at_each(lambda at: it.launch(runs.setdefault(at, new_run())), again) >= 1
        assert await it.has_executed_once(*runs.values())
        assert isinstance(await it.terminate(neighbour), Succeeded)
        assert (await stand.end(neighbour)).HasField("run_canceled")


async def test_a_dedicated_launch_may_be_cancelled_at_each_await(stand: AgentStand) -> None:
    async with working(stand) as it:
        await it.serve(is_dedicated=True)
        runs: dict[int, RunRef] = {}

        async def again(at: int) -> None:
            assert isinstance(await it.launch(runs[at]), Succeeded)
            await stand.end(runs[at])

        assert await cancel_at_each(lambda at: it.launch(runs.setdefault(at, new_run())), again) >= 1
        assert await it.has_executed_once(*runs.values())


async def test_a_launch_that_waits_for_its_location_may_be_cancelled_at_each_await(
    stand: AgentStand, tmp_path: Path
) -> None:
    async with working(stand) as it:
        await it.serve()
        runs: dict[int, RunRef] = {}

        def launch(at: int) -> Coroutine[Any, Any, object]:
            runs[at], gate = new_run(), tmp_path / f"gate{at}"
            it.want(stand.location(), stand.location(name=f"slow{at}", GATE=str(gate)))
            # Long enough for the first await, and no part of what is awaited.
            asyncio.get_running_loop().call_later(0.3, gate.touch)
            return it.launch(runs[at], location=f"slow{at}")

        async def again(at: int) -> None:
            assert isinstance(await it.launch(runs[at], location=f"slow{at}"), Succeeded)

        assert await cancel_at_each(launch, again) >= 2
        assert await it.has_executed_once(*runs.values())


async def test_one_of_two_deliveries_of_a_launch_may_be_cancelled_at_each_await(stand: AgentStand) -> None:
    async with working(stand) as it, asyncio.TaskGroup() as tasks:
        await it.serve()
        runs: dict[int, RunRef] = {}
        others: dict[int, asyncio.Task[Outcome]] = {}

        def launch(at: int) -> Coroutine[Any, Any, object]:
            run = runs[at] = new_run()
            others[at] = tasks.create_task(it.launch(run))
            return it.launch(run)

        async def check(at: int) -> None:
            assert isinstance(await others[at], Succeeded)

        assert await cancel_at_each(launch, check) >= 1
        assert await it.has_executed_once(*runs.values())


async def test_a_termination_may_be_cancelled_at_each_await(stand: AgentStand) -> None:
    async with working(stand) as it:
        await it.serve()
        neighbour = new_run()
        await it.launch(neighbour, "endless_job")

        runs = {1: new_run()}

        async def again(at: int) -> None:
            assert isinstance(await it.terminate(runs[at]), Succeeded)
            assert (await stand.end(runs[at])).HasField("run_canceled")
            await it.launch(runs.setdefault(at + 1, new_run()), "endless_job")

        await it.launch(runs[1], "endless_job")
        assert await cancel_at_each(lambda at: it.terminate(runs[at]), again) >= 1
        assert not [event for event in stand.run_events(neighbour) if event.WhichOneof("body") in TERMINAL]


async def test_a_launch_that_is_delivered_may_be_cancelled_at_each_await(stand: AgentStand) -> None:
    """As when the connection breaks over which it came: it is taken down once, and told once."""
    async with working(stand) as it:
        await it.serve()
        messages: dict[int, Instruction] = {}

        def deliver(at: int) -> Coroutine[Any, Any, object]:
            message = messages.setdefault(at, Instruction(id=uuid.uuid4().hex, deployment="test", agent="edge"))
            message.launch_run.CopyFrom(stand.launch("quick_job", new_run()))
            return it.parts.instructions.handle(message)

        async def again(at: int) -> None:
            assert await it.parts.instructions.handle(messages[at]) is Settlement.ACK

        assert await cancel_at_each(deliver, again) >= 1
        for message in messages.values():
            assert (await stand.result(message.id)).outcome == SUCCEEDED
        assert await it.has_executed_once(*(message.launch_run.request.run for message in messages.values()))
        await eventually(lambda: not it.parts.intake.all(), within=20)


async def test_a_sync_may_be_cancelled_at_each_await(stand: AgentStand) -> None:
    async with working(stand) as it:
        await it.serve()
        sent: dict[int, Instruction] = {}

        def deliver(at: int) -> Coroutine[Any, Any, object]:
            message = sent.setdefault(at, Instruction(id=uuid.uuid4().hex, deployment="test", agent="edge"))
            message.sync_locations.revision = 10 + at
            message.sync_locations.locations.append(stand.location())
            return it.parts.instructions.handle(message)

        async def again(at: int) -> None:
            assert await it.parts.instructions.handle(sent[at]) is Settlement.ACK
            assert it.parts.registry.revision == 10 + at

        assert await cancel_at_each(deliver, again) >= 1
        assert isinstance(await it.launch(new_run()), Succeeded)


def _ask(it: Agent, kind: str, question: Message, _: int) -> Coroutine[Any, Any, object]:
    return it.do(kind, question)


async def test_questions_may_be_cancelled_at_each_await_and_take_no_place_with_them(stand: AgentStand) -> None:
    async with working(stand) as it:
        await it.serve()
        run = new_run()
        await it.launch(run)
        await stand.end(run)
        questions = {
            "validate_run": ValidateRun(request=stand.launch("quick_job", run).request),
            "fetch_logs": FetchLogs(run=run, location="sales", wait_s=5, cursors=[LogCursor(stream=LOG_STREAM_STDOUT)]),
            "evaluate_schedule": EvaluateSchedule(location="sales", schedule_name="nightly"),
            "evaluate_sensor": EvaluateSensor(location="sales", sensor_name="watcher", cursor="c"),
        }
        for kind, question in questions.items():

            async def again(_: int, kind: str = kind, question: Message = question) -> None:
                assert isinstance(await it.do(kind, question), Succeeded)

            assert await cancel_at_each(partial(_ask, it, kind, question), again) >= 1
        for _ in range(MOST_OF_ONE_LOCATION + 1):
            await cancel_at(it.do("validate_run", questions["validate_run"]), at=1)
        assert isinstance(await it.do("validate_run", questions["validate_run"]), Succeeded)
