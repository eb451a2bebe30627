"""The pure parts of handling instructions."""

import time

import pytest
from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.code_server.errors import (
    CodeServerNotReadyError,
    CodeServerRefusedError,
    CodeServerUnavailableError,
    StaleAttemptError,
)
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.errors import AgentError, LocationUnavailableError
from isthmus_agent.instructions.envelope import Envelope
from isthmus_agent.instructions.launch import request_violations
from isthmus_agent.instructions.outcome import Expired, Failed, Outcome, Succeeded, Unsupported, Violation, result_of
from isthmus_agent.instructions.retry import GiveUp, Retry, after_failure

UNAVAILABLE = CodeServerUnavailableError(server="s", call="StartRun", cause="gone")
Result = telemetry.InstructionResult


@pytest.mark.parametrize(
    ("error", "tries", "left_s", "decision"),
    [
        (UNAVAILABLE, 1, 60.0, Retry(0.1)),
        (UNAVAILABLE, 3, 60.0, Retry(0.4)),
        (UNAVAILABLE, 50, 60.0, Retry(2.0)),
        (UNAVAILABLE, 50, 2.0, GiveUp()),
        (UNAVAILABLE, 1, 0.0, GiveUp()),
        (CodeServerNotReadyError(server="s", call="StartRun"), 1, 60.0, Retry(0.1)),
        (CodeServerRefusedError(server="s", call="StartRun", cause="no"), 1, 60.0, GiveUp()),
        (StaleAttemptError(server="s", cause="2 was seen"), 1, 60.0, GiveUp()),
        (LocationUnavailableError(location="l", problem="unknown"), 1, 60.0, GiveUp()),
    ],
)
def test_what_to_do_when_a_code_server_breaks(
    error: AgentError, tries: int, left_s: float, decision: Retry | GiveUp
) -> None:
    assert after_failure(error, tries=tries, left_s=left_s) == decision


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Succeeded(), Result(outcome=Result.OUTCOME_SUCCEEDED)),
        (
            Succeeded(telemetry.LaunchAnswer(server="s", pid=7)),
            Result(outcome=Result.OUTCOME_SUCCEEDED, launch=telemetry.LaunchAnswer(server="s", pid=7)),
        ),
        (
            Succeeded(telemetry.TerminateAnswer(was_not_running=True)),
            Result(outcome=Result.OUTCOME_SUCCEEDED, terminate=telemetry.TerminateAnswer(was_not_running=True)),
        ),
        (
            Succeeded(telemetry.ValidateAnswer()),
            Result(outcome=Result.OUTCOME_SUCCEEDED, validate=telemetry.ValidateAnswer()),
        ),
        (Succeeded(telemetry.LogAnswer()), Result(outcome=Result.OUTCOME_SUCCEEDED, logs=telemetry.LogAnswer())),
        (
            Succeeded(telemetry.ScheduleAnswer(skip_reason="no")),
            Result(outcome=Result.OUTCOME_SUCCEEDED, schedule=telemetry.ScheduleAnswer(skip_reason="no")),
        ),
        (
            Succeeded(telemetry.SensorAnswer(cursor="c")),
            Result(outcome=Result.OUTCOME_SUCCEEDED, sensor=telemetry.SensorAnswer(cursor="c")),
        ),
        (Expired(), Result(outcome=Result.OUTCOME_EXPIRED)),
        (Unsupported(), Result(outcome=Result.OUTCOME_UNSUPPORTED)),
        (
            Failed(telemetry.RUN_REASON_INVALID_REQUEST, violations=(Violation("job_name", "There is no such job."),)),
            Result(
                outcome=Result.OUTCOME_FAILED,
                reason=telemetry.RUN_REASON_INVALID_REQUEST,
                violations=[telemetry.FieldViolation(field="job_name", description="There is no such job.")],
            ),
        ),
        (
            Failed.of(telemetry.RUN_REASON_LOCATION_UNAVAILABLE, UNAVAILABLE),
            Result(
                outcome=Result.OUTCOME_FAILED,
                reason=telemetry.RUN_REASON_LOCATION_UNAVAILABLE,
                failure=telemetry.Failure(error_class="CodeServerUnavailableError", message=str(UNAVAILABLE)),
            ),
        ),
    ],
)
def test_each_outcome_has_its_result(outcome: Outcome, expected: telemetry.InstructionResult) -> None:
    expected.instruction_id = "i"
    assert result_of(outcome, instruction_id="i") == expected


def test_an_envelope_without_a_deadline_never_expires() -> None:
    envelope = Envelope.of(instruction.Instruction(id="i"))
    assert not envelope.is_expired
    assert envelope.left_s(at_most=60) == 60
    assert not envelope.is_question


@pytest.mark.parametrize(
    ("in_s", "is_expired", "least", "most"), [(-1, True, 0, 0), (30, False, 29, 30), (90, False, 60, 60)]
)
def test_an_envelope_with_a_deadline(*, in_s: float, is_expired: bool, least: float, most: float) -> None:
    message = instruction.Instruction(id="i", reply_to="me")
    message.not_after.FromNanoseconds(int((time.time() + in_s) * 1e9))
    envelope = Envelope.of(message)
    assert envelope.is_expired is is_expired
    assert least <= envelope.left_s(at_most=60) <= most
    assert envelope.is_question


@pytest.mark.parametrize(
    ("run_id", "location", "fields"),
    [
        ("r-1", "sales", []),
        ("", "sales", ["run.run_id"]),
        ("../r", "sales", ["run.run_id"]),
        ("r-1", "", ["location"]),
        ("r-1", "../sales", ["location"]),
        ("a/b", "a.b", ["run.run_id", "location"]),
    ],
)
def test_requests_that_cannot_be_names_of_files_are_refused(run_id: str, location: str, fields: list[str]) -> None:
    request = instruction.RunRequest(run=telemetry.RunRef(run_id=run_id, attempt=1), location=location)
    assert [violation.field for violation in request_violations(request)] == fields


def test_draining_is_told_once() -> None:
    told: list[bool] = []
    drain = DrainSwitch(lambda: told.append(drain.is_on))
    drain.switch_on()
    drain.switch_on()
    assert drain.is_on
    assert told == [True]
