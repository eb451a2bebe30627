"""Logs of the services: into a file, and to the terminal when asked for."""

import logging
import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog
from isthmus_cli.view.output import note

#: Bytes of one log file, and how many older ones are kept beside it.
LOG_BYTES = 10 * 1024 * 1024
KEPT_LOGS = 3


class LogFile(RotatingFileHandler):
    """A log that stays below its bound, and that nothing else ends with: what cannot be written is left out."""

    def __init__(self, path: Path, *, max_bytes: int = LOG_BYTES) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=KEPT_LOGS, encoding="utf-8")
        self._is_told = False
        self._faults: list[OSError] = []
        if path.is_file() and path.stat().st_size:
            self.doRollover()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; the first of a row that cannot be written is told, on stderr."""
        self._faults.clear()
        super().emit(record)
        if not self._faults:
            self._is_told = False
        elif not self._is_told:
            self._is_told = True
            with suppress(OSError):
                note(f"The log {self.baseFilename} cannot be written: {self._faults[0].strerror}. All else goes on.")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Take note of a full disk instead of printing a traceback for each record."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._faults.append(error)
        else:
            super().handleError(record)

    def close(self) -> None:
        """Close the file; what the disk has no room for is left out."""
        with suppress(OSError):
            super().close()


def log_to(path: Path, *, is_verbose: bool) -> None:
    """Send all logs to a file that is begun anew, and with `is_verbose` to stderr too."""
    handlers: list[logging.Handler] = [LogFile(path)]
    if is_verbose:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(_formatter(is_colored=handler is not handlers[0] and sys.stderr.isatty()))
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _formatter(*, is_colored: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.dev.ConsoleRenderer(colors=is_colored, exception_formatter=structlog.dev.plain_traceback),
        ],
    )
