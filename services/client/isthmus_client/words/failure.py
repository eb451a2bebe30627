"""What of a failure a person reads first, and which of its frames are the framework's."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from isthmus.v1.telemetry_pb2 import Failure

CAUSED = "The above exception was the direct cause of the following exception:"
DURING = "During handling of the above exception, another exception occurred:"

# A frame's first line names its file. What imports and calls the user's code is told from that code by its place.
_FRAMEWORK = re.compile(
    r'^\s*File "(?:<frozen importlib|[^"\n]*[/\\](?:site-packages[/\\]dagster|isthmus_code_server)\w*[/\\])',
)
#: Errors whose message tells people what is wrong, and where: those of the framework's own words, and of Python's parser.
_TELLING = re.compile(r"^(?:\w+\.)*(?:Dagster\w+|SyntaxError|IndentationError|TabError)$")


def failure_headline(failure: Failure) -> str:
    """Tell a failure in one line."""
    first_line = failure.message.strip().partition("\n")[0]
    return ": ".join(part for part in (failure.error_class, first_line) if part) or "no reason was given"


def grouped_frames(stack: Sequence[str]) -> Iterator[tuple[bool, list[str]]]:
    """Give a stack's frames in their order, the framework's (True) apart from the others."""
    for is_framework, frames in groupby(stack, key=_is_framework):
        yield is_framework, list(frames)


def tells_where(failure: Failure) -> bool:
    """Tell whether a failure says where it was without the framework's frames: by the user's own, or by its message."""
    if _TELLING.match(failure.error_class):
        return True
    return any(not _is_framework(frame) for each in failure_chain(failure) for frame in each.stack)


def failure_chain(failure: Failure) -> Iterator[Failure]:
    """Give a failure and those behind it, as Python tells them: what came first comes first."""
    if inner := behind(failure):
        yield from failure_chain(inner)
    yield failure


def behind(failure: Failure) -> Failure | None:
    """Return the failure that caused this one, or during whose handling it came; None when it came by itself."""
    if failure.HasField("cause"):
        return failure.cause
    return failure.context if failure.HasField("context") else None


def _is_framework(frame: str) -> bool:
    return bool(_FRAMEWORK.search(frame))
