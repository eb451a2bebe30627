"""A service's log: JSON lines on stderr.

A service's `main` takes its logger from here, and thereby imports structlog here first: without `rich`, which structlog
imports wherever it is installed, to paint tracebacks for people. That is 4 MiB and up to 50 ms in a process that writes JSON.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

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


def take_over() -> None:
    """Write as lines of the log, too, what libraries log, warnings, and the errors that end a thread or the process.

    For a process whose stderr is read by programs: none of them writes text of its own there.
    """
    root = logging.getLogger()
    root.handlers[:] = [_Bridge()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _tell_end
    threading.excepthook = lambda hook: _tell_end(hook.exc_type, hook.exc_value or hook.exc_type(), hook.exc_traceback)
    sys.unraisablehook = lambda hook: get_logger().warning(
        "error_ignored", where=str(hook.err_msg or hook.object), problem=f"{hook.exc_type.__name__}: {hook.exc_value}"
    )


class _Bridge(logging.Handler):
    """Hands a library's record on to our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; one whose arguments do not fit its text is written without them."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's fault in its own log must not end what it logs about
            text = str(record.msg)
        get_logger().log(record.levelno, text.strip(), logger=record.name, exc_info=record.exc_info)


def _tell_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    get_logger().error("died_of_an_error", problem=f"{kind.__name__}: {error}", exc_info=(kind, error, trace))
