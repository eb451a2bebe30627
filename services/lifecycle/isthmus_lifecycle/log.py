"""A service's log: JSON lines on stderr.

A service's `main` takes its logger from here, and thereby imports structlog here first: without `rich`, which structlog
imports wherever it is installed, to paint tracebacks for people. That is 4 MiB and up to 50 ms in a process that writes JSON.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: The descriptor of standard error.
_STDERR = 2


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
    """Standard error without a buffer, which drops what it cannot write.

    A log on a full disk must not end the work that it tells of. A buffer would keep what could not be written, grow with each
    line, and fail once more when the interpreter ends.
    """

    def write(self, text: str) -> None:
        with suppress(OSError):
            os.write(_STDERR, text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Have nothing to flush."""


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
        logger_factory=structlog.WriteLoggerFactory(file=_Unfailing()),  # type: ignore[arg-type] # all that it uses,
    )
