"""A failure as Python would print it: causes first, each with its stack."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from isthmus.v1.telemetry_pb2 import Failure, FieldViolation

from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import count_text, metadata_text
from isthmus_cli.view.violation import violation_text

# A frame's first line names its file. What imports and calls the user's code is told from that code by its place.
_FRAMEWORK = re.compile(
    r'^\s*File "(?:<frozen importlib|[^"\n]*[/\\](?:site-packages[/\\]dagster|isthmus_code_server)\w*[/\\])',
)
#: Errors whose message tells people what is wrong, and where: those of the framework's own words, and of Python's parser.
_TELLING = re.compile(r"^(?:\w+\.)*(?:Dagster\w+|SyntaxError|IndentationError|TabError)$")
_CAUSED = "The above exception was the direct cause of the following exception:"
_DURING = "During handling of the above exception, another exception occurred:"


def failure_headline(failure: Failure) -> str:
    """Tell a failure in one line."""
    first_line = failure.message.strip().partition("\n")[0]
    return ": ".join(part for part in (failure.error_class, first_line) if part) or "no reason was given"


def failure_lines(failure: Failure, *, paint: Paint) -> list[str]:
    """Tell a failure whole; the framework's frames are counted only, where the user's own or the error tell where it was."""
    is_short = bool(_TELLING.match(failure.error_class)) or _has_own_frames(failure)
    return _failure_lines(failure, paint=paint, is_short=is_short)


def _failure_lines(failure: Failure, *, paint: Paint, is_short: bool) -> list[str]:
    lines: list[str] = []
    if failure.HasField("cause"):
        lines += [*_failure_lines(failure.cause, paint=paint, is_short=is_short), "", _CAUSED, ""]
    elif failure.HasField("context"):
        lines += [*_failure_lines(failure.context, paint=paint, is_short=is_short), "", _DURING, ""]
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
    for is_framework, group in groupby(stack, key=lambda frame: bool(_FRAMEWORK.search(frame))):
        frames = list(group)
        if is_framework and is_short:
            lines.append(paint.dim(f"  … {count_text(len(frames), 'frame')} of the framework"))
        else:
            lines += [line for frame in frames for line in frame.rstrip("\n").split("\n")]
    return lines


def _has_own_frames(failure: Failure) -> bool:
    if any(not _FRAMEWORK.search(frame) for frame in failure.stack):
        return True
    inner = [getattr(failure, name) for name in ("cause", "context") if failure.HasField(name)]
    return any(_has_own_frames(each) for each in inner)
