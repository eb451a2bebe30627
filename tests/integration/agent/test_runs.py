"""Launches and terminations by an agent, against a real broker, with real code servers and real Dagster."""

import asyncio
import os
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aio_pika
import pytest
from integration.agent_stand import AgentStand, agent_stand, is_alive, new_run, server_pids
from isthmus.v1.instruction_pb2 import (
    DrainAgent,
    Instruction,
)
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_FAILED,
    LOCATION_PHASE_IMPORTING,
    LOCATION_PHASE_SERVING,
    RUN_REASON_CANCELED_BY_REQUEST,
    RUN_REASON_INVALID_REQUEST,
    RUN_REASON_LOCATION_UNAVAILABLE,
    RUN_REASON_WORKER_LOST,
    InstructionResult,
    RunRef,
)
from isthmus_broker.topology import DEAD
from isthmus_spool.attempt_folder import AttemptFolder
from support.eventually import eventually

pytestmark = pytest.mark.timeout(120)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED
EXPIRED = InstructionResult.OUTCOME_EXPIRED
UNSUPPORTED = InstructionResult.OUTCOME_UNSUPPORTED


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


async def test_a_launch_runs_to_its_end(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        report = await it.serve()
        assert report.serving_generation == 1
        assert [job.name for job in report.snapshot.jobs if not job.is_implicit_asset_job] == [
            "endless_job",
            "quick_job",
        ]
        assert report.framework.startswith("dagster ")
        run = new_run()
        result = await it.start("quick_job", run)
        assert result.outcome == SUCCEEDED
        assert result.launch.pid
        assert not result.launch.was_started_before
        assert (await it.end(run)).HasField("run_succeeded")
        assert [event.seq for event in it.run_events(run)] == list(range(1, len(it.run_events(run)) + 1))
        assert len(it.noted("quick")) == 1


async def test_a_redelivered_launch_starts_nothing_twice(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        launches = [it.tell(launch_run=it.launch("quick_job", run)) for _ in range(5)]
        results = [await it.result(id_) for id_ in await asyncio.gather(*launches)]
        assert {result.outcome for result in results} == {SUCCEEDED}
        assert sum(not result.launch.was_started_before for result in results) == 1
        assert (await it.end(run)).HasField("run_succeeded")
        late = await it.start("quick_job", run)
        assert late.outcome == SUCCEEDED
        assert late.launch.was_started_before
        assert len(it.noted("quick")) == 1


async def test_a_launch_waits_for_its_location_to_load(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        gate = tmp_path / "gate"
        # The second location is not delayed by the first one's slow import.
        other = it.location(name="other")
        await it.sync(it.location(GATE=str(gate)), other)
        await it.report(LOCATION_PHASE_IMPORTING)
        run, quick = new_run(), new_run()
        waiting = await it.tell(launch_run=it.launch("quick_job", run))
        quick_id = await it.tell(launch_run=it.launch("quick_job", quick, location="other"))
        assert (await it.result(quick_id)).outcome == SUCCEEDED
        assert not it.results(waiting)
        gate.touch()
        assert (await it.result(waiting)).outcome == SUCCEEDED
        assert (await it.end(run)).HasField("run_succeeded")


async def test_a_request_that_does_not_fit_the_definitions_is_refused(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        result = await it.start("no_such_job", new_run())
        assert (result.outcome, result.reason) == (FAILED, RUN_REASON_INVALID_REQUEST)
        assert result.violations


async def test_what_cannot_be_done_is_said(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        unknown_location = await it.start("quick_job", new_run())
        assert (unknown_location.outcome, unknown_location.reason) == (FAILED, RUN_REASON_LOCATION_UNAVAILABLE)
        assert "sales" in unknown_location.failure.message
        expired = await it.result(await it.tell(launch_run=it.launch("quick_job", new_run()), in_s=-1))
        assert expired.outcome == EXPIRED
        # A body that this agent does not know yet: a field beyond the contract's.
        newer = Instruction.FromString(
            Instruction(id="newer", deployment="test", agent="edge").SerializeToString() + b"\xfa\x07\x00"
        )
        await it.send(newer)
        assert (await it.result("newer")).outcome == UNSUPPORTED
        sneaky = await it.start("quick_job", RunRef(run_id="../../sneaky", attempt=1))
        assert (sneaky.outcome, sneaky.reason) == (FAILED, RUN_REASON_INVALID_REQUEST)
        bad_name = await it.sync(it.location(name="../up"))
        assert bad_name.outcome == FAILED
        assert bad_name.violations


async def test_garbage_is_kept_aside_and_delays_nothing(
    stand: AbstractAsyncContextManager[AgentStand], broker_url: str
) -> None:
    async with stand as it, it.agent():
        whole = Instruction(id="x", deployment="test", agent="edge", drain_agent=DrainAgent()).SerializeToString()
        poison = {b"\xff\xff garbage", whole[:-1], b""}
        for body in poison:
            await it.send_bytes(body)
        assert (await it.result(await it.tell(in_s=None))).outcome == UNSUPPORTED
        async with await aio_pika.connect(broker_url) as connection, connection.channel() as channel:
            dead: set[bytes] = set()

            async def note(message: aio_pika.abc.AbstractIncomingMessage) -> None:
                dead.add(message.body)

            await (await channel.get_queue(DEAD)).consume(note, no_ack=True)
            await eventually(lambda: dead == poison, within=10)


async def test_a_run_that_is_ended_before_its_launch_never_starts(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it:
        run = new_run()
        async with it.agent():
            await it.serve()
            ended = await it.terminate(run)
            assert (ended.outcome, ended.terminate.was_not_running) == (SUCCEEDED, True)
        async with it.agent():
            await it.heartbeat(lambda beat: len(beat.agent_heartbeat.locations) == 1)
            refused = await it.start("quick_job", run)
            assert (refused.outcome, refused.reason) == (FAILED, RUN_REASON_CANCELED_BY_REQUEST)
            retry = RunRef(run_id=run.run_id, attempt=2)
            assert (await it.start("quick_job", retry)).outcome == SUCCEEDED
            await it.end(retry)
        assert len(it.noted("quick")) == 1


async def test_a_launch_that_waits_for_its_location_can_be_ended(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        gate, run = tmp_path / "gate", new_run()
        await it.sync(it.location(GATE=str(gate)))
        await it.report(LOCATION_PHASE_IMPORTING)
        waiting = await it.tell(launch_run=it.launch("quick_job", run))
        assert (await it.terminate(run)).terminate.was_not_running
        gate.touch()
        refused = await it.result(waiting)
        assert (refused.outcome, refused.reason) == (FAILED, RUN_REASON_CANCELED_BY_REQUEST)
        assert it.noted("quick") == []


async def test_a_running_run_is_ended(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        pid = (await it.start("endless_job", run)).launch.pid
        await it.heartbeat(lambda beat: run in beat.agent_heartbeat.active_runs)
        result = await it.terminate(run)
        assert (result.outcome, result.terminate.was_not_running) == (SUCCEEDED, False)
        assert not is_alive(pid)
        assert (await it.end(run)).HasField("run_canceled")
        again = await it.terminate(run)
        assert (again.outcome, again.terminate.was_not_running) == (SUCCEEDED, True)


async def test_a_killed_code_server_is_replaced_and_its_runs_are_closed(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        await it.serve()
        run = new_run()
        pid = (await it.start("endless_job", run)).launch.pid
        await eventually(lambda: it.noted("endless"), within=15)
        told = len(it.reports())
        os.kill(server_pids(it)[0], signal.SIGKILL)
        end = await it.end(run)
        assert end.run_failed.reason == RUN_REASON_WORKER_LOST
        assert end.run_failed.exit.signal == signal.SIGKILL
        await eventually(lambda: not is_alive(pid), within=2)
        events = it.run_events(run)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert events[-1] == end
        assert (await it.report(LOCATION_PHASE_FAILED, after=told)).failure.error_class == "CodeServerExited"
        await it.report(LOCATION_PHASE_SERVING, after=told)
        assert (await it.start("quick_job", new_run())).outcome == SUCCEEDED
        assert (await it.start("endless_job", run)).launch.was_started_before
        assert len(it.noted("endless")) == 1


async def test_a_restarted_agent_adopts_what_runs(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it:
        run = new_run()
        async with it.agent():
            await it.serve()
            pid = (await it.start("endless_job", run)).launch.pid
            servers = server_pids(it)
        assert any(event.HasField("agent_stopped") for event in it.events)
        assert is_alive(pid)
        told = len(it.reports())
        async with it.agent():
            # Without a word from the control plane.
            await it.report(LOCATION_PHASE_SERVING, after=told)
            assert server_pids(it) == servers
            assert (await it.start("endless_job", run)).launch.was_started_before
            await it.heartbeat(lambda beat: run in beat.agent_heartbeat.active_runs)
            assert (await it.terminate(run)).outcome == SUCCEEDED
            assert not is_alive(pid)
            assert (await it.end(run)).HasField("run_canceled")


async def test_runs_of_a_server_that_died_unseen_are_closed(stand: AbstractAsyncContextManager[AgentStand]) -> None:
    async with stand as it:
        run = new_run()
        async with it.agent():
            await it.serve()
            pid = (await it.start("endless_job", run)).launch.pid
            await eventually(lambda: it.noted("endless"), within=15)
        (server,) = server_pids(it)
        os.kill(server, signal.SIGKILL)
        await eventually(lambda: not is_alive(server), within=5)
        async with it.agent():
            end = await it.end(run)
            assert end.run_failed.reason == RUN_REASON_WORKER_LOST
            assert not end.run_failed.HasField("exit")
            await eventually(lambda: not is_alive(pid), within=2)
            folder = AttemptFolder.for_run(it.data_dir / "runs" / "sales", run)
            await eventually(lambda: folder.is_done, within=5)
