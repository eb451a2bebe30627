"""Why an attempt was not started: errors and refusals, as the one result of its launch tells them."""

from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import telemetry_pb2 as telemetry

from isthmus_agent.dedicated.placement import TagFault
from isthmus_agent.errors import (
    AgentError,
    DedicatedServerLostError,
    LocationRefusedError,
    LocationUnavailableError,
    RunRefusedError,
)
from isthmus_agent.failure import FailureNote
from isthmus_agent.hosts.errors import ImageUnavailableError, ServerStartError
from isthmus_agent.instructions.outcome import Failed, Violation
from isthmus_agent.policy.verdict import Refused


def reason_of(error: AgentError, *, is_dedicated: bool) -> "telemetry.RunReason.ValueType":
    """Return the reason of a run that could not be launched."""
    match error:
        case LocationRefusedError() | RunRefusedError():
            return telemetry.RUN_REASON_REFUSED_BY_POLICY
        case ImageUnavailableError():
            return telemetry.RUN_REASON_IMAGE_UNAVAILABLE
        case ServerStartError() if is_dedicated:
            return telemetry.RUN_REASON_CONTAINER_START_FAILED
        case DedicatedServerLostError(is_out_of_memory=True):
            return telemetry.RUN_REASON_OUT_OF_MEMORY
        case LocationUnavailableError(cause=AgentError() as cause):
            return reason_of(cause, is_dedicated=is_dedicated)
        case _:
            return telemetry.RUN_REASON_LOCATION_UNAVAILABLE


def rejection(rejected: code_server.RunRejected) -> Failed:
    """Return the outcome where the definitions did not take the request."""
    violations = tuple(Violation(fault.field, fault.description) for fault in rejected.violations)
    reason = telemetry.RUN_REASON_INVALID_REQUEST if violations else telemetry.RUN_REASON_USER_ERROR
    failure = rejected.failure if rejected.HasField("failure") else None
    return Failed(reason, failure=failure, violations=violations)


def canceled() -> Failed:
    """Return the outcome where the run's end was asked for before it was started."""
    note = FailureNote("RunCanceled", "The run was ended before its launch arrived.")
    return Failed(telemetry.RUN_REASON_CANCELED_BY_REQUEST, failure=note.to_proto())


def draining() -> Failed:
    """Return the outcome where the agent takes no new runs."""
    note = FailureNote("AgentDraining", "The agent takes no new runs until it is restarted.")
    return Failed(telemetry.RUN_REASON_LOCATION_UNAVAILABLE, failure=note.to_proto())


def misplaced(why: tuple[TagFault, ...] | Refused) -> Failed:
    """Return the outcome where the run may not execute as its tags ask for, or as the agent's owner allows."""
    if isinstance(why, Refused):
        error = RunRefusedError(rule=why.rule, problem=why.problem)
        return Failed.of(telemetry.RUN_REASON_REFUSED_BY_POLICY, error)
    violations = tuple(Violation(f"tags[{fault.tag!r}]", fault.remedy) for fault in why)
    return Failed(telemetry.RUN_REASON_INVALID_REQUEST, violations=violations)


def failure_of(error: AgentError) -> telemetry.Failure:
    """Return an error as it is told, with what explains it."""
    failure = FailureNote.of(error).to_proto()
    if isinstance(error, LocationUnavailableError) and error.failure is not None:
        failure.cause.CopyFrom(error.failure.to_proto())
    if isinstance(error, DedicatedServerLostError):
        failure.stack.extend(error.stack)
    return failure
