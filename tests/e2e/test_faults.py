"""What happens when something is wrong: each fault ends where docs/delivery.md says, and the system goes on."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.control_plane_pb2 import (
    RUN_STATE_CANCELED,
    RUN_STATE_FAILED,
    RUN_STATE_RUNNING,
    RUN_STATE_SUCCEEDED,
    LaunchRunRequest,
)
from isthmus.v1.instruction_pb2 import CodeSource, Instruction, LaunchRun, RunRequest
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_FAILED,
    LOCATION_PHASE_SERVING,
    RUN_REASON_CANCELED_BY_REQUEST,
    RUN_REASON_INVALID_REQUEST,
    RUN_REASON_PROCESS_EXITED,
    RUN_REASON_PROCESS_KILLED,
    RUN_REASON_WORKER_LOST,
    Event,
    InstructionResult,
    RunRef,
    TelemetryBatch,
)
from isthmus_broker.instructions import InstructionPublisher
from isthmus_broker.link import connect
from isthmus_broker.publisher import OutgoingMessage, Publisher
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.topology import INSTRUCTIONS, TELEMETRY, instruction_queue
from support.eventually import eventually, patiently
from support.system import AGENT, Operator, System

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def gated(operator: Operator, gated_source: CodeSource) -> Operator:
    await operator.apply("gated", gated_source)
    return operator


async def pid_at_gate(gate: Path) -> int:
    pid_file = Path(f"{gate}.pid")
    return int(await eventually(lambda: pid_file.exists() and pid_file.read_text(), within=20))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def launch_at_gate(operator: Operator, gate: Path, **fields: object) -> tuple[str, int]:
    config = f'{{"ops": {{"stand_at_gate": {{"config": {{"path": "{gate}"}}}}}}}}'
    run_id = await operator.launch("gated", "gated", run_config_json=config, **fields)
    return run_id, await pid_at_gate(gate)


async def assert_launches_work(operator: Operator) -> None:
    run, _ = await operator.history(await operator.launch("gated", "quick"))
    assert run.state == RUN_STATE_SUCCEEDED, run


async def test_a_killed_run_fails_with_its_reason_within_a_second(gated: Operator, tmp_path: Path) -> None:
    run_id, pid = await launch_at_gate(gated, tmp_path / "gate")
    await gated.in_state(run_id, [RUN_STATE_RUNNING])
    os.kill(pid, signal.SIGKILL)
    run = await gated.in_state(run_id, [RUN_STATE_FAILED], within=1)
    assert run.reason == RUN_REASON_PROCESS_KILLED
    _, updates = await gated.history(run_id)
    assert updates[-1].event.run_failed.exit.signal == signal.SIGKILL


async def test_a_killed_run_is_done_again_from_where_it_was_and_both_are_told_apart(
    gated: Operator, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run_id, pid = await launch_at_gate(gated, gate, tags={"dagster/max_retries": "1"})
    await gated.in_state(run_id, [RUN_STATE_RUNNING])
    Path(f"{gate}.pid").unlink()
    os.kill(pid, signal.SIGKILL)
    failed = await gated.in_state(run_id, [RUN_STATE_FAILED])
    assert (failed.state, failed.reason) == (RUN_STATE_FAILED, RUN_REASON_PROCESS_KILLED)
    assert failed.tags["dagster/will_retry"] == "true"
    await pid_at_gate(gate)
    gate.touch()
    again, updates = await gated.history(failed.retried_by_run_id)
    assert (again.state, again.retry_of_run_id, again.retry_number) == (RUN_STATE_SUCCEEDED, run_id, 1)
    assert updates[0].event.run_queued.retry_of_run_id == run_id
    (started,) = [update.event.run_started for update in updates if update.event.HasField("run_started")]
    assert list(started.step_keys) == ["stand_at_gate", "after"]
    _, before = await gated.history(run_id)
    assert f"Retry 1 of 1 is run {again.request.run.run_id}." in [update.event.message for update in before]


async def test_a_terminated_run_is_canceled_and_its_process_gone(gated: Operator, tmp_path: Path) -> None:
    run_id, pid = await launch_at_gate(gated, tmp_path / "gate")
    await gated.client.terminate_run(run_id)
    run = await gated.in_state(run_id, [RUN_STATE_CANCELED], within=20)
    assert not is_alive(pid)
    assert run.reason == RUN_REASON_CANCELED_BY_REQUEST


async def test_a_run_that_exits_in_the_middle_of_user_code_fails_with_its_code(gated: Operator) -> None:
    run, updates = await gated.history(await gated.launch("gated", "exits"))
    assert (run.state, run.reason) == (RUN_STATE_FAILED, RUN_REASON_PROCESS_EXITED)
    assert updates[-1].event.run_failed.exit.exit_code == 3


async def test_a_bad_config_fails_before_anything_starts_and_names_every_path(gated: Operator) -> None:
    config = '{"ops": {"limited": {"config": {"limit": "many", "nmae": "y"}}}}'
    run, updates = await gated.history(await gated.launch("gated", "configured", run_config_json=config))
    assert (run.state, run.reason) == (RUN_STATE_FAILED, RUN_REASON_INVALID_REQUEST)
    fields = {violation.field for violation in run.violations}
    assert "run_config.ops.limited.config.limit" in fields
    assert any("nmae" in violation.field + violation.description for violation in run.violations)
    assert not any(update.event.HasField("run_started") for update in updates)


async def test_a_run_that_lost_its_code_server_fails_and_keeps_its_events(
    gated: Operator, system: System, tmp_path: Path
) -> None:
    run_id, pid = await launch_at_gate(gated, tmp_path / "gate")
    for server in system.code_server_pids():
        os.kill(server, signal.SIGKILL)
    run, updates = await gated.history(run_id)
    assert (run.state, run.reason) == (RUN_STATE_FAILED, RUN_REASON_WORKER_LOST)
    # It executes nothing more; the kernel may still be clearing it away.
    await eventually(lambda: not is_alive(pid), within=5)
    assert sum(update.event.message.startswith("before") for update in updates) == 50
    await assert_launches_work(gated)


@asynccontextmanager
async def at_the_broker(system: System) -> AsyncIterator[Publisher]:
    async with Publisher(BrokerSettings(system.broker_url)) as publisher:
        await publisher.wait_connected()
        yield publisher


def launch_instruction(*, location: str = "gated", job: str = "quick", seconds: int = 60) -> Instruction:
    now = Timestamp()
    now.GetCurrentTime()
    return Instruction(
        id=str(uuid.uuid4()),
        deployment="default",
        agent=AGENT,
        issued_at=now,
        not_after=Timestamp(seconds=now.seconds + seconds),
        launch_run=LaunchRun(
            request=RunRequest(run=RunRef(run_id=str(uuid.uuid4()), attempt=1), location=location, job_name=job)
        ),
    )


async def result_of(system: System, instruction: Instruction) -> InstructionResult:
    """Publish an instruction by hand and listen at the telemetry exchange for its result."""
    found: asyncio.Queue[InstructionResult] = asyncio.Queue()

    async with await connect(BrokerSettings(system.broker_url)) as connection, connection.channel() as channel:
        tap = await channel.declare_queue(exclusive=True)
        await tap.bind(TELEMETRY, routing_key=f"default.{AGENT}.result")
        async with at_the_broker(system) as publisher:
            await InstructionPublisher(publisher).publish(instruction)
        async with patiently(20), tap.iterator() as messages:
            async for message in messages:
                await message.ack()
                for event in TelemetryBatch.FromString(message.body).events:
                    if event.instruction_result.instruction_id == instruction.id:
                        found.put_nowait(event.instruction_result)
                        return found.get_nowait()
    raise AssertionError(instruction)


async def test_an_expired_instruction_is_answered_so_and_starts_nothing(gated: Operator, system: System) -> None:
    result = await result_of(system, launch_instruction(seconds=-1))
    assert result.outcome == InstructionResult.OUTCOME_EXPIRED
    await assert_launches_work(gated)


async def test_an_instruction_of_an_unknown_kind_is_unsupported(gated: Operator, system: System) -> None:
    bare = launch_instruction()
    bare.ClearField("launch_run")
    newer = Instruction.FromString(bare.SerializeToString() + b"\xaa\x3f\x03\x0a\x01\x78")  # field 1013, unknown today
    result = await result_of(system, newer)
    assert result.outcome == InstructionResult.OUTCOME_UNSUPPORTED
    await assert_launches_work(gated)


async def test_an_instruction_for_an_unknown_location_fails(gated: Operator, system: System) -> None:
    result = await result_of(system, launch_instruction(location="nowhere"))
    assert result.outcome == InstructionResult.OUTCOME_FAILED
    assert "nowhere" in result.failure.message
    await assert_launches_work(gated)


@pytest.mark.parametrize(
    "spoil", [lambda body: b"\xff\xfe garbage", lambda body: body[:-3]], ids=["garbage", "truncated"]
)
@pytest.mark.parametrize("where", ["instructions", "telemetry"])
async def test_bytes_that_are_no_message_are_put_aside_and_the_consumers_stay_up(
    gated: Operator, system: System, where: str, spoil: Callable[[bytes], bytes]
) -> None:
    if where == "instructions":
        exchange, key, good = (
            INSTRUCTIONS,
            instruction_queue("default", AGENT),
            launch_instruction().SerializeToString(),
        )
    else:
        batch = TelemetryBatch(events=[Event(message="x")])
        exchange, key, good = TELEMETRY, f"default.{AGENT}.run", batch.SerializeToString()
    async with at_the_broker(system) as publisher:
        await publisher.publish(OutgoingMessage(exchange, key, spoil(good)))
    await assert_launches_work(gated)
    assert all(service.is_alive for service in system.services.values())


async def test_a_generation_that_does_not_import_is_shown_with_its_traceback_and_the_old_one_serves(
    operator: Operator, tmp_path: Path
) -> None:
    module = tmp_path / "fragile.py"
    module.write_text(
        "from dagster import Definitions, job, op\n@op\ndef one(): return 1\n"
        "@job\ndef quick(): one()\ndefs = Definitions(jobs=[quick])\n"
    )
    source = CodeSource(python_file=str(module), working_directory=str(tmp_path))
    good = await operator.apply("fragile", source)
    assert good.phase == LOCATION_PHASE_SERVING
    module.write_text("import a_module_that_is_not_there\n")
    bad = await operator.apply("fragile", source, reload=True)
    report = bad.placements[0].report
    assert bad.phase == LOCATION_PHASE_FAILED
    assert report.serving_generation == good.generation
    assert report.failure.cause.error_class == "ModuleNotFoundError"
    assert "fragile.py" in "".join(report.failure.cause.stack)
    run, _ = await operator.history(await operator.launch("fragile", "quick"))
    assert run.state == RUN_STATE_SUCCEEDED


async def test_a_launch_repeated_with_its_run_id_starts_one_run(gated: Operator) -> None:
    request = LaunchRunRequest(run_id=str(uuid.uuid4()), location="gated", job_name="quick")
    first, second = [await gated.client.launch_run(request) for _ in range(2)]
    assert first.request.run.run_id == second.request.run.run_id
    _, updates = await gated.history(request.run_id)
    assert sum(update.event.HasField("run_started") for update in updates) == 1
