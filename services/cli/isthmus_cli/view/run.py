"""Runs: as a list, whole, and how one ended."""

from collections.abc import Sequence

from isthmus.v1.control_plane_pb2 import Run, RunState
from isthmus.v1.telemetry_pb2 import RunReason
from isthmus_client.words.run import message_line, reason_text, target_text

from isthmus_cli.run_name import brief_id
from isthmus_cli.view.failure import failure_lines, violation_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, short_ids, table
from isthmus_cli.view.text import (
    asset_text,
    brief_age,
    brief_duration,
    count_text,
    duration_text,
    moment_text,
    seconds_between,
)
from isthmus_cli.view.timeline import RunTimeline
from isthmus_cli.view.violation import violation_text

__all__ = ["brief_why", "ending_lines", "run_lines", "run_table", "target_text", "why_text"]

#: Failures of steps that are told whole; of more, only the names.
_TOLD_FAILURES = 3


def run_table(runs: Sequence[Run], *, paint: Paint, room: Room) -> list[str]:
    """List runs, one per line."""
    ids = short_ids([run.request.run.run_id for run in runs], room=room)
    is_one_location = len({run.request.location for run in runs}) <= 1
    columns = (
        Column("RUN"),
        Column("STATE"),
        Column("JOB", least=12),
        Column("LOCATION", least=8, may_go=is_one_location),
        Column("AGENT", is_extra=True),
        Column("PARTITION", is_extra=True),
        Column("BY", is_extra=True),
        Column("AGE"),
        Column("TOOK"),
        Column("WHY", least=16),
    )
    rows = [
        (
            run_id,
            paint.run_state(run.state),
            target_text(run),
            run.request.location,
            run.agent or "-",
            run.request.partition_key or "-",
            run.requested_by or "-",
            brief_age(run.queued_at),
            _brief_took(run),
            _listed_why(run),
        )
        for run_id, run in zip(ids, runs, strict=True)
    ]
    return table(columns, rows, room=room)


def run_lines(run: Run, *, paint: Paint) -> list[str]:
    """Tell one run whole."""
    request = run.request
    facts = [
        ("run", paint.bold(request.run.run_id)),
        ("state", _state_text(run, paint=paint)),
        ("job", request.job_name),
        ("location", request.location),
        ("agent", run.agent),
        ("attempt", str(request.run.attempt) if request.run.attempt > 1 else ""),
        ("ops", ", ".join(request.op_selection)),
        ("assets", ", ".join(asset_text(key) for key in request.asset_selection)),
        ("partition", request.partition_key),
        ("tags", ", ".join(f"{key}={value}" for key, value in sorted((run.tags or request.tags).items()))),
        ("config", request.run_config_json),
        ("asked by", run.requested_by),
        ("retry", f"{run.retry_number}, after run {run.retry_of_run_id} failed" if run.retry_of_run_id else ""),
        ("retried", f"as run {run.retried_by_run_id}" if run.retried_by_run_id else ""),
        ("queued", moment_text(run.queued_at)),
        ("started", moment_text(run.started_at) if run.HasField("started_at") else ""),
        ("ended", f"{moment_text(run.ended_at)}, after {_took_text(run)}" if run.HasField("ended_at") else ""),
    ]
    lines = [f"{paint.dim(f'{name:10}')}{value}" for name, value in facts if value]
    if run.violations:
        lines += ["", *violation_lines(run.violations, paint=paint)]
    if run.HasField("failure"):
        lines += ["", *failure_lines(run.failure, paint=paint)]
    return lines


def ending_lines(timeline: RunTimeline, *, paint: Paint) -> list[str]:
    """Tell how a run ended: its state, what it did, and what went wrong with stacks."""
    run = timeline.run
    took = f" after {duration_text(timeline.elapsed_s)}" if timeline.elapsed_s is not None else ""
    if run.state == RunState.RUN_STATE_SUCCEEDED:
        return [f"{paint.run_state(run.state)}{took}{_counts_text(timeline)}"]
    lines = [*_wrong_lines(timeline, paint=paint), f"{paint.run_state(run.state)}{took}: {brief_why(run)}"]
    if run.state == RunState.RUN_STATE_FAILED and run.HasField("started_at"):
        lines.append(paint.dim(f"Its output: isthmus run logs {brief_id(run.request.run.run_id)}"))
    if run.retried_by_run_id:
        lines.append(paint.yellow(f"It is retried: isthmus run watch {brief_id(run.retried_by_run_id)}"))
    return lines


def _wrong_lines(timeline: RunTimeline, *, paint: Paint) -> list[str]:
    run = timeline.run
    lines: list[str] = []
    if run.state != RunState.RUN_STATE_FAILED:  # A step that was interrupted for a cancellation says nothing.
        return lines
    for key, failure in list(timeline.failed.items())[:_TOLD_FAILURES]:
        lines += ["", paint.bold(f"Step {key} failed"), *failure_lines(failure, paint=paint)]
    untold = list(timeline.failed)[_TOLD_FAILURES:]
    if untold:
        lines += ["", f"And {count_text(len(untold), 'more step')} failed: {', '.join(untold)}"]
    if not timeline.failed and run.HasField("failure"):
        lines += ["", *failure_lines(run.failure, paint=paint)]
    if run.violations:
        lines += ["", *violation_lines(run.violations, paint=paint)]
    return [*lines, ""] if lines else []


def _counts_text(timeline: RunTimeline) -> str:
    counts = [
        (len(timeline.succeeded), "step"),
        (len(timeline.skipped), "skipped step"),
        (timeline.materializations, "materialization"),
        (timeline.checks_passed, "passed check"),
        (timeline.checks_warned, "warned check"),
        (timeline.checks_failed, "failed check"),
    ]
    return "".join(f" · {count_text(count, noun)}" for count, noun in counts if count)


def _state_text(run: Run, *, paint: Paint) -> str:
    why = why_text(run)
    return f"{paint.run_state(run.state)}{': ' if why else ''}{why}"


def why_text(run: Run) -> str:
    """Tell in one line why a run ended as it did, or why it waits; empty when there is nothing to say."""
    parts = (reason_text(run), _message(run))
    return ": ".join(part for part in dict.fromkeys(parts) if part)


def brief_why(run: Run) -> str:
    """Tell the same without the reason that goes without saying: that it is the code's own error."""
    if run.reason == RunReason.RUN_REASON_USER_ERROR and (message := _message(run)):
        return message.removeprefix("step ")
    return why_text(run)


def _listed_why(run: Run) -> str:
    """Tell the same, and first that it is a retry, or is retried."""
    retry = f"retry {run.retry_number} of {brief_id(run.retry_of_run_id)}" if run.retry_of_run_id else ""
    retried = f"retried as {brief_id(run.retried_by_run_id)}" if run.retried_by_run_id else ""
    return "; ".join(part for part in (retry, retried, brief_why(run)) if part)


def _message(run: Run) -> str:
    return message_line(run, worded=lambda it: violation_text(it.field, description=it.description))


def _brief_took(run: Run) -> str:
    if not run.HasField("started_at") or not run.HasField("ended_at"):
        return "-"
    return brief_duration(seconds_between(run.started_at, run.ended_at))


def _took_text(run: Run) -> str:
    if not run.HasField("started_at") or not run.HasField("ended_at"):
        return "-"
    return duration_text(seconds_between(run.started_at, run.ended_at))
