"""One line, or a few, for each event of a run that a person wants to see."""

import logging
from collections.abc import Callable

from isthmus.v1.telemetry_pb2 import AssetCheckEvaluated, AssetMaterialized, AssetObserved, CheckSeverity, Event

from isthmus_cli.run_name import brief_id
from isthmus_cli.view.failure import failure_headline
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import asset_text, clock_text, count_text, duration_text, metadata_text, size_text

#: The first values that were cut out of an event are named; `-o json` has them all.
_SHOWN_CUTS = 3

_Line = Callable[[Event, float | None, Paint], str]


def event_lines(event: Event, *, took_s: float | None, paint: Paint) -> list[str]:
    """Tell an event; nothing for those that only the framework cares about.

    Args:
        event: What happened.
        took_s: How long the step took that this event ends.
        paint: How to colour.
    """
    tell = _TELLERS.get(event.WhichOneof("body") or "")
    text = tell(event, took_s, paint) if tell else ""
    text = "\n".join(part for part in (text, *map(paint.dim, _cuts(event))) if part)
    if not text:
        return []
    first, *rest = text.split("\n")
    return [f"{paint.dim(clock_text(event.occurred_at))}  {first}", *(f"{'':12}{line}" for line in rest)]


def _cuts(event: Event) -> list[str]:
    """Tell what was cut out of an event, and how to have it whole."""
    return [
        f"  cut: {cut.field or 'lists'}, {size_text(cut.size_bytes)} in all:"
        f" isthmus run logs {event.run.run_id} --value {cut.sha256}"
        for cut in [cut for cut in event.cuts if cut.is_kept][:_SHOWN_CUTS]
    ]


def _queued(event: Event, _took_s: float | None, _paint: Paint) -> str:
    by, queued = event.run_queued.requested_by, event.run_queued
    if queued.retry_of_run_id:
        return f"queued as retry {queued.retry_number}, after run {brief_id(queued.retry_of_run_id)} failed"
    return f"queued by {by}" if by else "queued"


def _dispatched(event: Event, _took_s: float | None, _paint: Paint) -> str:
    return f"sent to agent {event.run_dispatched.agent}"


def _started(event: Event, _took_s: float | None, _paint: Paint) -> str:
    started = event.run_started
    return f"started, process {started.pid}, {count_text(len(started.step_keys), 'step')}"


def _cancel_requested(event: Event, _took_s: float | None, paint: Paint) -> str:
    by = event.run_cancel_requested.requested_by
    return paint.yellow(f"termination asked for by {by}" if by else "termination asked for")


def _step_started(event: Event, _took_s: float | None, paint: Paint) -> str:
    return f"{paint.cyan('▸')} {event.step_key}"


def _step_restarted(event: Event, _took_s: float | None, paint: Paint) -> str:
    return f"{paint.yellow('↻')} {event.step_key}  retry {event.step_restarted.retry_number}"


def _step_succeeded(event: Event, took_s: float | None, paint: Paint) -> str:
    return f"{paint.green('✓')} {event.step_key}{_took(took_s, paint=paint)}"


def _step_failed(event: Event, took_s: float | None, paint: Paint) -> str:
    reason = failure_headline(event.step_failed.failure)
    return f"{paint.red('✗')} {event.step_key}{_took(took_s, paint=paint)}  {paint.red(reason)}"


def _step_skipped(event: Event, _took_s: float | None, paint: Paint) -> str:
    return paint.dim(f"- {event.step_key}  skipped")


def _up_for_retry(event: Event, took_s: float | None, paint: Paint) -> str:
    retry = event.step_up_for_retry
    wait = f" in {duration_text(retry.wait_s)}" if retry.HasField("wait_s") else ""
    reason = failure_headline(retry.failure)
    return f"{paint.yellow('↻')} {event.step_key}{_took(took_s, paint=paint)}  will be tried again{wait}: {reason}"


def _materialized(event: Event, _took_s: float | None, paint: Paint) -> str:
    return _asset("materialized", event.asset_materialized, paint=paint)


def _observed(event: Event, _took_s: float | None, paint: Paint) -> str:
    return _asset("observed", event.asset_observed, paint=paint)


def _asset(verb: str, told: AssetMaterialized | AssetObserved, *, paint: Paint) -> str:
    partition = f" [{told.partition}]" if told.partition else ""
    facts = metadata_text(told.metadata)
    return f"  {verb} {paint.bold(asset_text(told.asset))}{partition}{paint.dim('  ' + facts) if facts else ''}"


def _asset_failed(event: Event, _took_s: float | None, paint: Paint) -> str:
    failed = event.asset_failed
    reason = f": {failed.reason}" if failed.reason else ""
    return paint.red(f"  not materialized {asset_text(failed.asset)}{reason}")


def _check(event: Event, _took_s: float | None, paint: Paint) -> str:
    check = event.asset_check_evaluated
    partition = f" [{check.partition}]" if check.partition else ""
    facts = "  ".join(part for part in (check.description, metadata_text(check.metadata)) if part)
    name = f"check {check.check_name} of {asset_text(check.asset)}{partition}"
    return f"  {_verdict(check, paint=paint)} {name}{paint.dim('  ' + facts) if facts else ''}"


def _verdict(check: AssetCheckEvaluated, *, paint: Paint) -> str:
    if check.is_passed:
        return paint.green("passed")
    if check.severity == CheckSeverity.CHECK_SEVERITY_WARN:
        return paint.yellow("warned")
    return paint.red("failed")


def _log(event: Event, _took_s: float | None, paint: Paint) -> str:
    level = event.log_message.level
    if level < logging.INFO:
        return ""
    name = logging.getLevelName(level)
    tag = paint.red(name) if level >= logging.ERROR else paint.yellow(name) if level >= logging.WARNING else name
    where = paint.dim(f"{event.step_key}: ") if event.step_key else ""
    failure = event.log_message.failure
    reason = f"\n{failure_headline(failure)}" if event.log_message.HasField("failure") else ""
    return f"  {tag} {where}{event.message}{reason}"


def _engine(event: Event, _took_s: float | None, paint: Paint) -> str:
    if not event.engine_event.HasField("failure"):
        return ""
    return paint.red(f"  {event.message}: {failure_headline(event.engine_event.failure)}")


def _hook_failed(event: Event, _took_s: float | None, paint: Paint) -> str:
    hook = event.hook_failed
    return paint.red(f"  hook {hook.hook_name} failed: {failure_headline(hook.failure)}")


def _expectation(event: Event, _took_s: float | None, paint: Paint) -> str:
    result = event.expectation_result
    verdict = paint.green("met") if result.is_passed else paint.red("not met")
    return f"  expectation {result.label} {verdict}{paint.dim('  ' + metadata_text(result.metadata))}"


def _resource(event: Event, _took_s: float | None, paint: Paint) -> str:
    if not event.resource_event.HasField("failure"):
        return ""
    return paint.red(f"  {event.message}: {failure_headline(event.resource_event.failure)}")


def _took(took_s: float | None, *, paint: Paint) -> str:
    return "" if took_s is None else paint.dim(f"  {duration_text(took_s)}")


_TELLERS: dict[str, _Line] = {
    "run_queued": _queued,
    "run_dispatched": _dispatched,
    "run_started": _started,
    "run_cancel_requested": _cancel_requested,
    "step_started": _step_started,
    "step_restarted": _step_restarted,
    "step_succeeded": _step_succeeded,
    "step_failed": _step_failed,
    "step_skipped": _step_skipped,
    "step_up_for_retry": _up_for_retry,
    "asset_materialized": _materialized,
    "asset_observed": _observed,
    "asset_failed": _asset_failed,
    "asset_check_evaluated": _check,
    "log_message": _log,
    "engine_event": _engine,
    "hook_failed": _hook_failed,
    "expectation_result": _expectation,
    "resource_event": _resource,
}
