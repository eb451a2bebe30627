"""What requests about branch deployments must look like."""

from typing import Final

from isthmus.v1 import control_plane_pb2 as api

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.generation import code_version

#: What stands between the parent's name and the branch's own.
SEPARATOR: Final = "--"
#: The longest name of a deployment.
_MAX_NAME: Final = 63
#: Ten years.
_MAX_LIFE_S: Final = 3650 * 86_400.0
_MAX_RUNS: Final = 2**31 - 1


def deployment_of(parent: str, name: str) -> str:
    """Return the deployment that a branch is."""
    return f"{parent}{SEPARATOR}{name}"


def create_branch(request: api.CreateBranchRequest, *, parent: str) -> list[Violation]:
    """List the faults of a CreateBranch request."""
    violations = [
        *field.place(deployment=request.deployment, name=request.name),
        *field.optional_name(request.pool, field="pool"),
        *code_version(request.code_version),
        *field.seconds(request.expires_after_s, field="expires_after_s", most=_MAX_LIFE_S),
        *field.text(request.requested_by, field="requested_by", max_chars=field.MAX_TEXT),
    ]
    size = len(deployment_of(parent, request.name))
    if not violations and size > _MAX_NAME:
        rule = f"makes the deployment {deployment_of(parent, request.name)}, {size} characters of {_MAX_NAME}"
        violations.append(Violation("name", f"{rule}; take one of {_MAX_NAME - size + len(request.name)} at the most"))
    if request.max_runs > _MAX_RUNS:
        violations.append(Violation("max_runs", f"must be at most {_MAX_RUNS:,}; got {request.max_runs:,}"))
    return violations


def of_branch(request: api.BranchRef | api.DeleteBranchRequest) -> list[Violation]:
    """List the faults of a request that names a branch."""
    violations = field.place(deployment=request.deployment, name=request.name)
    if isinstance(request, api.DeleteBranchRequest):
        violations += field.text(request.requested_by, field="requested_by", max_chars=field.MAX_TEXT)
    return violations
