"""What became of an instruction: a value that a handler returns, and the one result that is made of it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, assert_never

from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.failure import FailureNote

Answer = (
    telemetry.LaunchAnswer
    | telemetry.TerminateAnswer
    | telemetry.ValidateAnswer
    | telemetry.LogAnswer
    | telemetry.ScheduleAnswer
    | telemetry.SensorAnswer
)


@dataclass(frozen=True)
class Violation:
    """One fault of a request: where it is, and what to do about it."""

    field: str
    description: str


@dataclass(frozen=True)
class Succeeded:
    """The effect is there."""

    answer: Answer | None = None
    #: How a schedule's or a sensor's evaluation went.
    evaluation: telemetry.Evaluation | None = None


@dataclass(frozen=True)
class Failed:
    """There is no effect, and there will be none."""

    #: One of the contract's RunReason values; 0 where no run is concerned.
    reason: int
    failure: telemetry.Failure | None = None
    violations: tuple[Violation, ...] = ()
    #: As for one that succeeded.
    evaluation: telemetry.Evaluation | None = None

    @classmethod
    def of(cls, reason: int, error: BaseException) -> "Failed":
        """Fail with an error of this agent's own."""
        return cls(reason, failure=FailureNote.of(error).to_proto())


@dataclass(frozen=True)
class Expired:
    """The deadline had passed when the instruction was taken; nothing was done."""


@dataclass(frozen=True)
class Unsupported:
    """The agent does not know this kind of instruction: it is older than who sent it."""


@dataclass(frozen=True)
class Later:
    """A question whose answer takes its time: it is not held at the broker meanwhile."""

    #: Finds the answer; called once.
    find: Callable[[], Coroutine[Any, Any, "Outcome"]]


Outcome = Succeeded | Failed | Expired | Unsupported


def result_of(outcome: Outcome, *, instruction_id: str) -> telemetry.InstructionResult:
    """Return the result that tells of an outcome."""
    result = telemetry.InstructionResult(instruction_id=instruction_id)
    match outcome:
        case Succeeded(answer, _):
            result.outcome = telemetry.InstructionResult.OUTCOME_SUCCEEDED
            if answer is not None:
                _set_answer(result, answer)
        case Failed(reason, failure, violations, _):
            result.outcome = telemetry.InstructionResult.OUTCOME_FAILED
            result.reason = telemetry.RunReason.ValueType(reason)
            if failure is not None:
                result.failure.CopyFrom(failure)
            for violation in violations:
                result.violations.add(field=violation.field, description=violation.description)
        case Expired():
            result.outcome = telemetry.InstructionResult.OUTCOME_EXPIRED
        case Unsupported():
            result.outcome = telemetry.InstructionResult.OUTCOME_UNSUPPORTED
        case _:
            assert_never(outcome)
    if isinstance(outcome, Succeeded | Failed) and outcome.evaluation is not None:
        result.evaluation.CopyFrom(outcome.evaluation)
    return result


def _set_answer(result: telemetry.InstructionResult, answer: Answer) -> None:
    match answer:
        case telemetry.LaunchAnswer():
            result.launch.CopyFrom(answer)
        case telemetry.TerminateAnswer():
            result.terminate.CopyFrom(answer)
        case telemetry.ValidateAnswer():
            result.validate.CopyFrom(answer)
        case telemetry.LogAnswer():
            result.logs.CopyFrom(answer)
        case telemetry.ScheduleAnswer():
            result.schedule.CopyFrom(answer)
        case telemetry.SensorAnswer():
            result.sensor.CopyFrom(answer)
        case _:
            assert_never(answer)
