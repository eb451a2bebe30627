"""Dagster's evaluation contexts with our instance in them, which Dagster would otherwise open by its reference.

What user code logs through them is heard here; Dagster would write it to a file that nobody collects.
"""

import logging
from collections.abc import Callable
from typing import Any

from dagster import DagsterInstance, ScheduleEvaluationContext, SensorEvaluationContext
from dagster._core.definitions.instigation_logger import InstigationLogger
from dagster._core.log_manager import LOG_RECORD_METADATA_ATTR
from isthmus.v1.telemetry_pb2 import LogLine

from isthmus_code_server.definitions.clock import timestamp
from isthmus_code_server.definitions.dagster.values.encodable import encodable
from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception

#: Takes each line that is logged.
TakeLine = Callable[[LogLine], None]


class _LineHandler(logging.Handler):
    """Hands lines on."""

    def __init__(self, take: TakeLine) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line on, with what it tells of an exception."""
        try:
            self._take(_line(record))
        except Exception:  # noqa: BLE001  # what cannot be said must not end the evaluation, as with any of Python's handlers
            self.handleError(record)


def _line(record: logging.LogRecord) -> LogLine:
    told: Any = getattr(record, LOG_RECORD_METADATA_ATTR, None) or {}
    line = LogLine(
        occurred_at=timestamp(record.created),
        level=record.levelno,
        message=encodable(str(told.get("orig_message") or record.getMessage())),
    )
    if record.exc_info and record.exc_info[1] is not None:
        line.failure.CopyFrom(failure_from_exception(record.exc_info[1]))
    return line


def _logger(take: TakeLine, *, repository_name: str | None, name: str | None) -> InstigationLogger:
    logger = InstigationLogger(repository_name=repository_name, instigator_name=name)
    logger.addHandler(_LineHandler(take))
    return logger


class SensorContext(SensorEvaluationContext):
    """A sensor's context."""

    def __init__(self, *, instance: DagsterInstance, take_line: TakeLine, **told: Any) -> None:
        super().__init__(instance_ref=instance.get_ref(), instance=instance, **told)
        self._logger = _logger(take_line, repository_name=told["repository_name"], name=told["sensor_name"])


class ScheduleContext(ScheduleEvaluationContext):
    """A schedule's context."""

    def __init__(self, *, instance: DagsterInstance, take_line: TakeLine, **told: Any) -> None:
        super().__init__(instance_ref=instance.get_ref(), **told)
        context: Any = self
        context._instance = instance  # noqa: SLF001  # the constructor takes a reference only
        context._logger = _logger(take_line, repository_name=told["repository_name"], name=told["schedule_name"])  # noqa: SLF001
