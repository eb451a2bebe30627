"""What results of instructions do to runs."""

import pytest
from integration.monitor.world import AGENT, World, monitor, now
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event
from isthmus_broker.topology import TelemetryKind
from isthmus_store import outbox, runs
from isthmus_store.record.run import Violation
from isthmus_store.signal import CancelRequested
from isthmus_store.state import InstructionOutcome, RunReason, RunState
from support.eventually import eventually


def result(instruction_id: str, outcome: wire.InstructionResult.Outcome.ValueType, **rest: object) -> Event:
    body = wire.InstructionResult(instruction_id=instruction_id, outcome=outcome, **rest)  # type: ignore[arg-type]
    return Event(instruction_result=body)


async def test_a_launch_s_result_settles_it_and_starts_the_run(world: World) -> None:
    run = await world.dispatched()
    instruction_id = await world.instruct(run)
    answer = result(instruction_id, wire.InstructionResult.OUTCOME_SUCCEEDED, launch=wire.LaunchAnswer(server="s1"))
    async with monitor(world.settings()):
        await world.publish(answer, answer, source=AGENT, kind=TelemetryKind.RESULT)
        await eventually(world.until_state(run, RunState.STARTING), within=10)
    (stored,) = await world.history(run)
    assert Event.FromString(stored.body).run_starting == wire.RunStarting(agent="lab", server="s1")
    async with world.database.read() as tx:
        instruction = await outbox.get(tx, instruction_id)
    assert instruction is not None
    assert instruction.outcome is InstructionOutcome.SUCCEEDED


async def test_a_refused_launch_fails_the_run_with_its_violations(world: World) -> None:
    run = await world.dispatched()
    refused = result(
        await world.instruct(run),
        wire.InstructionResult.OUTCOME_FAILED,
        reason=wire.RUN_REASON_INVALID_REQUEST,
        failure=wire.Failure(error_class="ConfigError", message="2 faults\nAnd more"),
        violations=[wire.FieldViolation(field="run_config.ops", description="unknown op")],
    )
    async with monitor(world.settings()):
        await world.publish(refused, source=AGENT, kind=TelemetryKind.RESULT)
        await eventually(world.until_state(run, RunState.FAILED), within=10)
    failed = await world.run(run)
    assert (failed.reason, failed.message) == (RunReason.INVALID_REQUEST, "ConfigError: 2 faults")
    assert failed.violations == (Violation(field="run_config.ops", description="unknown op"),)
    (stored,) = await world.history(run)
    assert Event.FromString(stored.body).run_failed.failure.message == "2 faults\nAnd more"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (wire.InstructionResult.OUTCOME_EXPIRED, RunReason.START_TIMEOUT),
        (wire.InstructionResult.OUTCOME_UNSUPPORTED, RunReason.UNSUPPORTED),
    ],
)
async def test_a_launch_that_was_not_done_fails_the_run(
    world: World, outcome: wire.InstructionResult.Outcome.ValueType, reason: RunReason
) -> None:
    run = await world.dispatched()
    async with monitor(world.settings()):
        await world.publish(result(await world.instruct(run), outcome), source=AGENT, kind=TelemetryKind.RESULT)
        await eventually(world.until_state(run, RunState.FAILED), within=10)
    assert (await world.run(run)).reason is reason


async def test_terminating_what_does_not_run_cancels_the_run(world: World) -> None:
    run = await world.dispatched()
    async with world.database.write() as tx:
        await runs.signal(tx, run.run_id, CancelRequested(requested_by="ann"), at=now())
    gone = result(
        await world.instruct(run, kind="terminate_run"),
        wire.InstructionResult.OUTCOME_SUCCEEDED,
        terminate=wire.TerminateAnswer(was_not_running=True),
    )
    async with monitor(world.settings()):
        await world.publish(gone, source=AGENT, kind=TelemetryKind.RESULT)
        await eventually(world.until_state(run, RunState.CANCELED), within=10)
    assert [stored.kind for stored in await world.history(run)] == ["run_canceled"]
