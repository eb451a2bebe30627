"""What requests about the history of a location must look like, and what is said of code."""

import re
from typing import Final

from isthmus.v1 import control_plane_pb2 as api

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field
from isthmus_control_plane.validation.field import MAX_TEXT

MAX_GENERATIONS: Final = 200
_URL: Final = re.compile(r"https?://[^\s\x00-\x20]+")


def code_version(version: api.CodeVersion) -> list[Violation]:
    """List what is wrong with what somebody says of their code."""
    violations = [
        *field.text(version.commit, field="code_version.commit", max_chars=MAX_TEXT),
        *field.text(version.branch, field="code_version.branch", max_chars=MAX_TEXT),
        *field.text(version.url, field="code_version.url", max_chars=MAX_TEXT),
        *field.text(version.message, field="code_version.message", max_chars=MAX_TEXT),
    ]
    if version.url and not violations and not _URL.fullmatch(version.url):
        rule = f"must begin with http:// or https://; got {field.shown(version.url)}"
        violations.append(Violation("code_version.url", rule))
    return violations


def list_generations(request: api.ListGenerationsRequest) -> list[Violation]:
    """List the faults of a ListGenerations request."""
    violations = field.place(deployment=request.deployment, name=request.name)
    if request.page_size > MAX_GENERATIONS:
        violations.append(
            Violation("page_size", f"must be 1 to {MAX_GENERATIONS}, or 0 for 20; got {request.page_size}")
        )
    return violations


def roll_back(request: api.RollbackLocationRequest) -> list[Violation]:
    """List the faults of a RollbackLocation request."""
    return [
        *field.place(deployment=request.deployment, name=request.name),
        *field.text(request.requested_by, field="requested_by", max_chars=MAX_TEXT),
    ]
