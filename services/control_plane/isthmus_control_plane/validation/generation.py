"""What requests about the history of a location must look like, and what is said of code."""

import re
from typing import Final

from isthmus.v1 import control_plane_pb2 as api

from isthmus_control_plane.errors import Violation
from isthmus_control_plane.validation import field

MAX_GENERATIONS: Final = 200
#: What the store can count to.
_MAX_GENERATION: Final = 2**63 - 2
_MAX_TEXT: Final = 1024
_URL: Final = re.compile(r"https?://[^\s\x00-\x20]+")


def code_version(version: api.CodeVersion) -> list[Violation]:
    """List what is wrong with what somebody says of their code."""
    violations = [
        *field.text(version.commit, field="code_version.commit", max_chars=_MAX_TEXT),
        *field.text(version.branch, field="code_version.branch", max_chars=_MAX_TEXT),
        *field.text(version.url, field="code_version.url", max_chars=_MAX_TEXT),
        *field.text(version.message, field="code_version.message", max_chars=_MAX_TEXT),
    ]
    if version.url and not violations and not _URL.fullmatch(version.url):
        rule = f"must begin with http:// or https://; got {field.shown(version.url)}"
        violations.append(Violation("code_version.url", rule))
    return violations


def list_generations(request: api.ListGenerationsRequest) -> list[Violation]:
    """List the faults of a ListGenerations request."""
    violations = [*_place(request), *_number(request.before_generation, field_name="before_generation")]
    if request.page_size > MAX_GENERATIONS:
        violations.append(
            Violation("page_size", f"must be 1 to {MAX_GENERATIONS}, or 0 for 20; got {request.page_size}")
        )
    return violations


def roll_back(request: api.RollbackLocationRequest) -> list[Violation]:
    """List the faults of a RollbackLocation request."""
    return [
        *_place(request),
        *_number(request.generation, field_name="generation"),
        *field.text(request.requested_by, field="requested_by", max_chars=_MAX_TEXT),
    ]


def _place(request: api.ListGenerationsRequest | api.RollbackLocationRequest) -> list[Violation]:
    return [*field.optional_name(request.deployment, field="deployment"), *field.name(request.name, field="name")]


def _number(value: int, *, field_name: str) -> list[Violation]:
    if value <= _MAX_GENERATION:
        return []
    return [Violation(field_name, f"must be a generation's number; got {value:,}")]
