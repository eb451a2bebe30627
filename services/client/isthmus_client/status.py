"""Turns gRPC statuses, with their rich details, into this package's errors."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import grpc

from isthmus_client.errors import (
    AccessDeniedError,
    ClientError,
    ConflictError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    ServerFaultError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedCallError,
    Violation,
)

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage
    from google.rpc.error_details_pb2 import ErrorInfo

_LOST = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
_PASSING_REASONS = frozenset({"STORE_AWAY", "BROKER_AWAY"})


@dataclass(frozen=True)
class Callee:
    """Whom a call went to, and with which token: what its errors tell of."""

    address: str
    #: Where the token came from; None when none was sent.
    token_source: str | None = None


def translate(error: grpc.aio.AioRpcError, *, method: str, callee: Callee) -> ClientError:
    """Build the error that a caller of this package sees for a gRPC status."""
    code, text = error.code(), error.details() or error.code().name
    details = details_of(error)
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            found: ClientError = _unavailable(text, details=details, address=callee.address)
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.OUT_OF_RANGE:
            found = InvalidRequestError(text, violations=_violations(details))
        case grpc.StatusCode.NOT_FOUND:
            found = _not_found(text, details=details)
        case grpc.StatusCode.FAILED_PRECONDITION | grpc.StatusCode.ALREADY_EXISTS | grpc.StatusCode.ABORTED:
            found = ConflictError(text, remedy=_remedy(details))
        case grpc.StatusCode.UNAUTHENTICATED:
            found = UnauthenticatedError(callee.address, source=callee.token_source)
        case grpc.StatusCode.PERMISSION_DENIED:
            found = AccessDeniedError(text, remedy=_remedy(details))
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            found = DeadlineError(method, detail=text, remedy=_remedy(details))
        case grpc.StatusCode.UNIMPLEMENTED if not details:
            found = UnsupportedCallError(method, address=callee.address)
        case _:
            found = ServerFaultError(f"The control plane failed while it answered: {text}", remedy=_remedy(details))
    return found


def is_connection_lost(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether a stream that broke is worth opening again.

    It is when the connection broke, the control plane stops (which leaves CANCELLED), or what it stands on is away; it
    is not when a living control plane says that nobody answers for what was asked.
    """
    if error.code() not in _LOST:
        return False
    details = details_of(error)
    return not details or _info(details).reason in _PASSING_REASONS


def details_of(error: grpc.aio.AioRpcError) -> list["AnyMessage"]:
    """Return the details that a status carries; none where it carries none, or its trailer contradicts it."""
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:  # The trailer contradicts the status: the status is the one to believe.
        return []
    return list(status.details) if status is not None else []


def _unavailable(text: str, *, details: list["AnyMessage"], address: str) -> UnavailableError:
    # Only a living control plane attaches details: then it is somebody behind it who cannot be reached.
    if details:
        return UnavailableError(text, address=address, remedy=_remedy(details))
    return UnavailableError.unreachable(address, detail=text)


def _not_found(text: str, *, details: list["AnyMessage"]) -> NotFoundError:
    from google.rpc.error_details_pb2 import ResourceInfo

    resource = ResourceInfo()
    any(detail.Unpack(resource) for detail in details)
    return NotFoundError(text, kind=resource.resource_type, name=resource.resource_name, remedy=_remedy(details))


def _violations(details: Iterable["AnyMessage"]) -> tuple[Violation, ...]:
    from google.rpc.error_details_pb2 import BadRequest

    request = BadRequest()
    any(detail.Unpack(request) for detail in details)
    return tuple(Violation(field=fault.field, description=fault.description) for fault in request.field_violations)


def _remedy(details: Iterable["AnyMessage"]) -> str:
    """Find what the control plane says to do, in the ErrorInfo's metadata."""
    return str(_info(details).metadata.get("remedy", ""))


def _info(details: Iterable["AnyMessage"]) -> "ErrorInfo":
    from google.rpc.error_details_pb2 import ErrorInfo

    info = ErrorInfo()
    any(detail.Unpack(info) for detail in details)
    return info
