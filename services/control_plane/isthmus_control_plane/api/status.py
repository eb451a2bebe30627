"""Errors as the caller sees them: rich gRPC statuses, built here and nowhere else."""

from dataclasses import dataclass
from typing import TypeAlias

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from isthmus_control_plane.errors import (
    AnswerTimeoutError,
    BrokerAwayError,
    ConflictError,
    ControlPlaneError,
    InvalidRequestError,
    LocationUnavailableError,
    NotFoundError,
    PreconditionError,
    StoppingError,
    TooManyStreamsError,
    UnsupportedByAgentError,
    Violation,
)

Status: TypeAlias = status_pb2.Status

#: Who speaks in google.rpc.ErrorInfo.
DOMAIN = "isthmus.control-plane"
#: gRPC carries details in a header, which peers limit to 8 KiB: more violations than fit are counted, not listed.
_MAX_DETAIL_BYTES = 6000


@dataclass(frozen=True, slots=True)
class _Kind:
    code: grpc.StatusCode
    #: The stable word in ErrorInfo.
    reason: str


_KINDS: dict[type[ControlPlaneError], _Kind] = {
    InvalidRequestError: _Kind(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    NotFoundError: _Kind(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    ConflictError: _Kind(grpc.StatusCode.ALREADY_EXISTS, "CONFLICT"),
    PreconditionError: _Kind(grpc.StatusCode.FAILED_PRECONDITION, "PRECONDITION"),
    LocationUnavailableError: _Kind(grpc.StatusCode.UNAVAILABLE, "LOCATION_UNAVAILABLE"),
    BrokerAwayError: _Kind(grpc.StatusCode.UNAVAILABLE, "BROKER_AWAY"),
    AnswerTimeoutError: _Kind(grpc.StatusCode.DEADLINE_EXCEEDED, "AGENT_SILENT"),
    TooManyStreamsError: _Kind(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"),
    StoppingError: _Kind(grpc.StatusCode.UNAVAILABLE, "STOPPING"),
    UnsupportedByAgentError: _Kind(grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED_BY_AGENT"),
}


def status_of(error: ControlPlaneError) -> Status:
    """Describe an error of this package."""
    kind = _KINDS.get(type(error), _Kind(grpc.StatusCode.INTERNAL, "INTERNAL"))
    remedy = {"remedy": error.remedy} if error.remedy else {}
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=kind.reason, domain=DOMAIN, metadata=remedy)]
    match error:
        case InvalidRequestError():
            details.append(_bad_request(error))
        case NotFoundError():
            details.append(_resource(error.kind, name=error.name, text=str(error)))
        case ConflictError():
            details.append(_resource(error.kind, name=error.name, text=str(error)))
        case PreconditionError():
            violation = error_details_pb2.PreconditionFailure.Violation(
                type=error.rule, subject=error.subject, description=str(error)
            )
            details.append(error_details_pb2.PreconditionFailure(violations=[violation]))
        case _:
            pass
    return build(kind.code, text=str(error), details=details)


def store_away() -> Status:
    """Describe a database that does not answer; its own words may tell of the inside."""
    info = error_details_pb2.ErrorInfo(reason="STORE_AWAY", domain=DOMAIN)
    text = "the control plane's database does not answer; the call changed nothing, or all of it: repeat it"
    return build(grpc.StatusCode.UNAVAILABLE, text=text, details=[info])


def unauthenticated() -> Status:
    """Describe a call without the token, or with another one: which of the two is not told."""
    info = error_details_pb2.ErrorInfo(reason="UNAUTHENTICATED", domain=DOMAIN)
    text = (
        "this control plane asks for a token: send the metadata 'authorization: Bearer TOKEN'. The command line and "
        "isthmus-client do so by themselves for the user who started it; others need ISTHMUS_API_TOKEN"
    )
    return build(grpc.StatusCode.UNAUTHENTICATED, text=text, details=[info])


def unexpected(error_id: str) -> Status:
    """Describe an error that nobody foresaw, by the id under which it was logged."""
    info = error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"error_id": error_id})
    text = f"unexpected error {error_id} in the control plane; its log has the details under this id"
    return build(grpc.StatusCode.INTERNAL, text=text, details=[info])


def build(code: grpc.StatusCode, *, text: str, details: list[Message]) -> Status:
    """Build a status with details."""
    packed = []
    for detail in details:
        box = any_pb2.Any()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(code=code.value[0], message=text[:2000], details=packed)


def _bad_request(error: InvalidRequestError) -> error_details_pb2.BadRequest:
    detail = error_details_pb2.BadRequest()
    for index, violation in enumerate(error.violations):
        if detail.ByteSize() > _MAX_DETAIL_BYTES:
            left = len(error.violations) - index
            detail.field_violations.add(field="", description=f"{left} more violations are not listed")
            break
        detail.field_violations.add(field=violation.field[:300], description=violation.description[:1000])
    return detail


def _resource(kind: str, *, name: str, text: str) -> error_details_pb2.ResourceInfo:
    return error_details_pb2.ResourceInfo(resource_type=f"isthmus.{kind}", resource_name=name, description=text)


def invalid_field(field: str, *, description: str) -> Status:
    """Describe a single wrong field that only the store could judge."""
    return status_of(InvalidRequestError([Violation(field, description)]))
