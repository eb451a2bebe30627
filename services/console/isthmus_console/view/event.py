"""Events of a run as rows: what a page's script keeps of each, to draw, filter and list a hundred thousand of them. Pure."""

import logging
from collections.abc import Callable
from typing import Any, Final, NotRequired, TypedDict

from isthmus.v1.control_plane_pb2 import RunUpdate
from isthmus.v1.telemetry_pb2 import CheckSeverity, Event
from isthmus_client.words.failure import failure_headline
from isthmus_client.words.run_id import brief_id
from isthmus_client.words.value import asset_text, count_text, duration_text, epoch_s, metadata_text

#: What a row says at the most; the event's own page part has all of it.
_MOST_CHARS: Final = 400


class EventRow(TypedDict):
    """One event."""

    #: Its place in the run's history.
    position: int
    attempt: int
    #: When, milliseconds since 1970.
    at: float
    #: What kind, as the contract names it.
    kind: str
    #: As Python's levels: 10 debug, 20 info, 30 warning, 40 error.
    level: int
    #: What happened, for people.
    text: str
    #: Left out where it is about no step.
    step: NotRequired[str]
    #: Of a run's start: the steps that it will execute.
    steps: NotRequired[list[str]]
    #: There is more to show than the row says.
    more: NotRequired[bool]


def event_row(update: RunUpdate) -> EventRow:
    """Return the row of an update that carries an event."""
    event = update.event
    kind = event.WhichOneof("body") or "unknown"
    row = EventRow(
        position=update.position,
        attempt=update.attempt,
        at=round(epoch_s(event.occurred_at) * 1000, 1),
        kind=kind,
        level=_level(event, kind=kind),
        text=_text(event, kind=kind)[:_MOST_CHARS],
    )
    if event.step_key:
        row["step"] = event.step_key
    if kind == "run_started":
        row["steps"] = list(event.run_started.step_keys)
    if _has_more(event, kind=kind):
        row["more"] = True
    return row


def _level(event: Event, *, kind: str) -> int:
    if kind == "log_message":
        return event.log_message.level
    if kind == "asset_check_evaluated" and not event.asset_check_evaluated.is_passed:
        is_warning = event.asset_check_evaluated.severity == CheckSeverity.CHECK_SEVERITY_WARN
        return logging.WARNING if is_warning else logging.ERROR
    if kind in _QUIET:
        return logging.ERROR if _inner(event, kind).HasField("failure") else logging.DEBUG
    return _LEVELS.get(kind, logging.INFO)


def _text(event: Event, *, kind: str) -> str:
    teller = _TELLERS.get(kind)
    told = teller(_inner(event, kind)) if teller else ""
    return told or event.message or kind.replace("_", " ")


def _has_more(event: Event, *, kind: str) -> bool:
    inner = _inner(event, kind) if kind != "unknown" else None
    if inner is None:
        return False
    fields = {field.name for field, _ in inner.ListFields()}
    return bool(fields & {"failure", "metadata"}) or len(event.message) > _MOST_CHARS or bool(event.cuts)


def _inner(event: Event, kind: str) -> Any:
    return getattr(event, kind)


def _queued(queued: Any) -> str:
    if queued.retry_of_run_id:
        return f"queued as retry {queued.retry_number}, after run {brief_id(queued.retry_of_run_id)} failed"
    return f"queued by {queued.requested_by}" if queued.requested_by else "queued"


def _cancel_requested(wanted: Any) -> str:
    return f"termination asked for by {wanted.requested_by}" if wanted.requested_by else "termination asked for"


def _up_for_retry(retry: Any) -> str:
    wait = f" in {duration_text(retry.wait_s)}" if retry.HasField("wait_s") else ""
    return f"will be tried again{wait}: {failure_headline(retry.failure)}"


def _of_asset(verb: str) -> Callable[[Any], str]:
    def tell(told: Any) -> str:
        return _joined(f"{verb} {asset_text(told.asset)}{_partition(told.partition)}", metadata_text(told.metadata))

    return tell


def _asset_failed(failed: Any) -> str:
    reason = f": {failed.reason}" if failed.reason else ""
    return f"not materialized {asset_text(failed.asset)}{_partition(failed.partition)}{reason}"


def _check(check: Any) -> str:
    verdict = "passed" if check.is_passed else "did not pass"
    name = f"check {check.check_name} of {asset_text(check.asset)}{_partition(check.partition)} {verdict}"
    return _joined(name, check.description, metadata_text(check.metadata))


def _expectation(result: Any) -> str:
    verdict = "met" if result.is_passed else "not met"
    return _joined(f"expectation {result.label} {verdict}", result.description, metadata_text(result.metadata))


def _partition(key: str) -> str:
    return f" [{key}]" if key else ""


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


#: Of the framework's own work; they matter where they tell of a failure.
_QUIET: Final = frozenset({"engine_event", "resource_event"})
_LEVELS: Final = {
    "asset_failed": logging.ERROR,
    "hook_failed": logging.ERROR,
    "run_canceled": logging.WARNING,
    "run_cancel_requested": logging.WARNING,
    "run_failed": logging.ERROR,
    "step_failed": logging.ERROR,
    "step_restarted": logging.WARNING,
    "step_up_for_retry": logging.WARNING,
    "asset_check_planned": logging.DEBUG,
    "asset_planned": logging.DEBUG,
    "hook_skipped": logging.DEBUG,
    "input_loaded": logging.DEBUG,
    "output_handled": logging.DEBUG,
    "step_input": logging.DEBUG,
    "step_output": logging.DEBUG,
}
_TELLERS: Final[dict[str, Callable[[Any], str]]] = {
    "run_queued": _queued,
    "run_dispatched": lambda dispatched: f"sent to agent {dispatched.agent}",
    "run_starting": lambda starting: f"starting on agent {starting.agent}",
    "run_started": lambda started: f"started, process {started.pid}, {count_text(len(started.step_keys), 'step')}",
    "run_cancel_requested": _cancel_requested,
    "run_failed": lambda failed: f"failed: {failure_headline(failed.failure)}" if failed.HasField("failure") else "",
    "step_started": lambda _: "started",
    "step_restarted": lambda restarted: f"started again, retry {restarted.retry_number}",
    "step_succeeded": lambda done: f"succeeded in {duration_text(done.duration_s)}",
    "step_failed": lambda failed: f"failed: {failure_headline(failed.failure)}",
    "step_skipped": lambda _: "skipped: an output that it needs was not made",
    "step_up_for_retry": _up_for_retry,
    "asset_materialized": _of_asset("materialized"),
    "asset_observed": _of_asset("observed"),
    "asset_failed": _asset_failed,
    "asset_check_evaluated": _check,
    "hook_failed": lambda hook: f"hook {hook.hook_name} failed: {failure_headline(hook.failure)}",
    "expectation_result": _expectation,
}
