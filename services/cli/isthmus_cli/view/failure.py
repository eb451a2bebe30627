"""A failure as Python would print it: causes first, each with its stack."""

from collections.abc import Iterable, Sequence

from isthmus.v1.telemetry_pb2 import Failure, FieldViolation
from isthmus_client.words.failure import CAUSED, DURING, behind, failure_headline, grouped_frames, tells_where

from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import count_text, metadata_text
from isthmus_cli.view.violation import violation_text

__all__ = ["failure_headline", "failure_lines", "violation_lines"]


def failure_lines(failure: Failure, *, paint: Paint) -> list[str]:
    """Tell a failure whole; the framework's frames are counted only, where the user's own or the error tell where it was."""
    return _failure_lines(failure, paint=paint, is_short=tells_where(failure))


def _failure_lines(failure: Failure, *, paint: Paint, is_short: bool) -> list[str]:
    lines: list[str] = []
    if inner := behind(failure):
        then = CAUSED if failure.HasField("cause") else DURING
        lines += [*_failure_lines(inner, paint=paint, is_short=is_short), "", then, ""]
    if failure.stack:
        lines.append("Traceback (most recent call last):")
        lines += _frame_lines(failure.stack, paint=paint, is_short=is_short)
    head, *rest = failure.message.strip().split("\n")
    lines.append(paint.red(": ".join(part for part in (failure.error_class, head) if part)))
    lines += rest
    if failure.description and failure.description != failure.message:
        lines += failure.description.split("\n")
    if failure.metadata:
        lines.append(metadata_text(failure.metadata))
    return lines


def violation_lines(violations: Iterable[FieldViolation], *, paint: Paint) -> list[str]:
    """Tell each fault of a request on its own line."""
    return [f"  {paint.red('✗')} {violation_text(it.field, description=it.description)}" for it in violations]


def _frame_lines(stack: Sequence[str], *, paint: Paint, is_short: bool) -> list[str]:
    lines: list[str] = []
    for is_framework, frames in grouped_frames(stack):
        if is_framework and is_short:
            lines.append(paint.dim(f"  … {count_text(len(frames), 'frame')} of the framework"))
        else:
            lines += [line for frame in frames for line in frame.rstrip("\n").split("\n")]
    return lines
