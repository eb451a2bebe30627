"""Dagster's config errors as violations with a path each."""

from typing import TYPE_CHECKING, Any

from isthmus.v1.telemetry_pb2 import FieldViolation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dagster._config.errors import EvaluationError
    from dagster._config.stack import EvaluationStackEntry

ROOT = "run_config"


def config_violations(errors: "Sequence[EvaluationError]") -> list[FieldViolation]:
    """Translate every error, in order of path; an error about several fields becomes one violation for each."""
    found = [
        FieldViolation(field=path, description=error.message.strip()) for error in errors for path in _paths(error)
    ]
    return sorted(found, key=lambda violation: (violation.field, violation.description))


def _paths(error: "EvaluationError") -> list[str]:
    base = _path(error.stack)
    data: Any = error.error_data
    if (name := getattr(data, "field_name", None)) is not None:
        return [f"{base}.{name}"]
    if (names := getattr(data, "field_names", None)) is not None:
        return [f"{base}.{name}" for name in names]
    return [base]


def _path(stack: "EvaluationStackEntry") -> str:
    path = ROOT
    for entry in stack.entries:
        index = getattr(entry, "list_index", None)
        if index is not None:
            path += f"[{index}]"
        else:
            name = getattr(entry, "field_name", None)
            path += f".{name if name is not None else getattr(entry, 'map_key', '')}"
    return path
