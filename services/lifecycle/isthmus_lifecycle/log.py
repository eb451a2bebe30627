"""A service's log: JSON lines on stderr.

A service's `main` takes its logger from here, and thereby imports structlog here first: without `rich`, which structlog
imports wherever it is installed, to paint tracebacks for people. That is 4 MiB and up to 50 ms in a process that writes JSON.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Make a package that nobody has imported yet look as if it were not installed, while the block runs."""
    if name in sys.modules:
        yield
        return
    # What the import system itself takes for "there is no such module".
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with _hidden("rich"):
    import structlog

get_logger = structlog.get_logger


class _Unfailing:
    """A stream that drops what it cannot write: a log on a full disk must not end the work that it tells of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        # ValueError: whoever reads us has closed the stream.
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def to_stderr() -> None:
    """Write the log as JSON lines to stderr, from INFO on; lines that cannot be written are left out."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=_Unfailing(sys.stderr)),  # type: ignore[arg-type] # all that it uses,
    )
