"""Exceptions, as Dagster or Python tells them, to Failure messages."""

import traceback
from functools import cache
from typing import TYPE_CHECKING, Any

from isthmus.v1.telemetry_pb2 import Failure

from isthmus_code_server.definitions.dagster.values.encodable import encodable
from isthmus_code_server.definitions.dagster.values.metadata import metadata_entries

if TYPE_CHECKING:
    from dagster._core.execution.plan.objects import StepFailureData

#: Dagster's SerializableErrorInfo, which has moved between its modules: message, stack, cls_name, cause, context.
_ErrorInfo = Any

#: Causes nested deeper than this are left out: a cycle of causes must not end the translation.
MAX_DEPTH = 20


def failure_from_error_info(error: _ErrorInfo, *, depth: int = 0) -> Failure:
    """Translate Dagster's account of an exception, with its causes and contexts."""
    failure = Failure(
        error_class=encodable(error.cls_name or ""),
        message=encodable(_bare_message(error.message, error_class=error.cls_name or "")),
        stack=[encodable(frame) for frame in error.stack],
    )
    if depth < MAX_DEPTH:
        if error.cause is not None:
            failure.cause.CopyFrom(failure_from_error_info(error.cause, depth=depth + 1))
        elif error.context is not None:
            failure.context.CopyFrom(failure_from_error_info(error.context, depth=depth + 1))
    return failure


def _bare_message(message: str, *, error_class: str) -> str:
    """Return the message without the class name that Dagster puts before it."""
    text = message.removesuffix("\n")
    head, separator, tail = text.partition(": ")
    if separator and head.rpartition(".")[2] == error_class:
        return tail
    return "" if text.rpartition(".")[2] == error_class else text


def user_failure(error: _ErrorInfo | None) -> Failure:
    """Translate an exception with what user code raised on top.

    Dagster wraps what user code raised into an error of its own, with the user's as its cause. The wrapper says
    nothing that the event does not say already.
    """
    if error is None:
        return Failure()
    if error.cause is not None and error.cls_name in _wrapper_names():
        error = error.cause
    return failure_from_error_info(error)


#: Raised for a retry, with what user code raised as the cause.
_RETRY_NAMES = frozenset({"RetryRequested", "RetryRequestedFromPolicy"})


@cache
def _wrapper_names() -> frozenset[str]:
    from dagster._core.errors import DagsterUserCodeExecutionError

    return frozenset(_names_below(DagsterUserCodeExecutionError)) | _RETRY_NAMES


def _names_below(error_class: type[BaseException]) -> list[str]:
    below = [name for child in error_class.__subclasses__() for name in _names_below(child)]
    return [error_class.__name__, *below]


def failure_from_step(data: "StepFailureData") -> Failure:
    """Translate a step's failure: the user's exception, and what a raised `Failure(...)` attached."""
    failure = user_failure(data.error)
    failure.source = data.error_source.value
    attached = data.user_failure_data
    if attached is not None:
        failure.label = encodable(attached.label)
        failure.description = encodable(attached.description or "")
        failure.metadata.extend(metadata_entries(attached.metadata))
    return failure


def failure_from_exception(error: BaseException) -> Failure:
    """Translate an exception that was caught in this process; a wrapped user error stands on top."""
    from dagster._utils.error import serializable_error_info_from_exc_info

    exc_info: Any = (type(error), error, error.__traceback__)
    try:
        return user_failure(serializable_error_info_from_exc_info(exc_info))
    except Exception:  # noqa: BLE001  # as of a chain of causes that is longer than Dagster can follow
        return failure_from_plain_exception(error)


def failure_from_plain_exception(error: BaseException, *, depth: int = 0) -> Failure:
    """Translate an exception without Dagster's help, for when Dagster itself may not be there."""
    failure = Failure(
        error_class=encodable(type(error).__name__),
        message=encodable(_said(error)),
        stack=[encodable(frame) for frame in traceback.format_tb(error.__traceback__)],
    )
    if depth < MAX_DEPTH:
        if error.__cause__ is not None:
            failure.cause.CopyFrom(failure_from_plain_exception(error.__cause__, depth=depth + 1))
        elif error.__context__ is not None and not error.__suppress_context__:
            failure.context.CopyFrom(failure_from_plain_exception(error.__context__, depth=depth + 1))
    return failure


def _said(error: BaseException) -> str:
    """Return an exception's message, or what keeps it from having one."""
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001  # it is the user's code that makes the message
        return f"<the message could not be made: {type(fault).__name__}>"
