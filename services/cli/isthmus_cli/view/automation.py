"""Ticks of schedules and sensors, what a trial came to, and who decided that they run."""

from collections.abc import Iterable, Sequence

import click
from isthmus.v1.control_plane_pb2 import Automation, TestedTick, Tick, TickStatus, WantedBackfill
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import AssetSubset, Event, LogLine

from isthmus_cli.document import enum_text
from isthmus_cli.view.failure import failure_headline, failure_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import (
    age_text,
    asset_text,
    brief_duration,
    clock_text,
    count_text,
    duration_text,
    moment_text,
    seconds_between,
)

_TICKS = (
    Column("TICK", is_extra=True),
    Column("TIME"),
    Column("STATUS"),
    Column("LATE", may_go=True),
    Column("TOOK"),
    Column("RUNS"),
    Column("TRIES", is_extra=True),
    Column("WHY", least=20),
)
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


def fact_lines(facts: Iterable[tuple[str, str]], *, ticks: Sequence[Tick], paint: Paint) -> list[str]:
    """Tell one schedule or sensor whole: the facts that there are, its ticks, and of the newest what it logged."""
    lines = [f"{paint.dim(f'{name:12}')}{value}" for name, value in facts if value]
    if ticks:
        lines += ["", *tick_table(ticks, paint=paint, room=Room())]
        lines += log_lines(ticks[0].evaluation.log_lines, left_out=ticks[0].evaluation.lines_left_out, paint=paint)
        if ticks[0].HasField("failure"):
            lines += ["", *failure_lines(ticks[0].failure, paint=paint)]
    return lines


def tick_table(ticks: Iterable[Tick], *, paint: Paint, room: Room) -> list[str]:
    """List ticks, one per line."""
    rows = [
        (
            str(it.id),
            moment_text(it.at),
            _status(it.status, paint=paint),
            brief_duration(seconds_between(it.at, it.began_at)),
            brief_duration(seconds_between(it.began_at, it.ended_at)) if it.HasField("ended_at") else "-",
            ", ".join(run_id[:8] for run_id in it.run_ids) or "-",
            str(it.attempts),
            why_text(it),
        )
        for it in ticks
    ]
    return table(_TICKS, rows, room=room)


def tick_statuses(text: str) -> list["TickStatus.ValueType"]:
    """Read a list of statuses.

    Raises:
        click.UsageError: One is none.
    """
    known = {enum_text(value, descriptor=TickStatus.DESCRIPTOR).lower(): value for value in TickStatus.values()[1:]}
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            message = f"{name!r} is no status of a tick: {', '.join(known)}."
            raise click.UsageError(message)
    return [known[name] for name in names]


def decision_text(it: Automation, *, word: str) -> str:
    """Tell what was decided about a schedule or a sensor."""
    if it.is_running:
        due = f"; it is due next {moment_text(it.next_at)}" if it.HasField("next_at") else ""
        return f"{word.capitalize()} {it.name} runs{due}."
    return f"{word.capitalize()} {it.name} rests until it is started: isthmus {word} start {it.name}"


def trial_lines(trial: TestedTick, *, name: str, paint: Paint) -> list[str]:
    """Tell what a tick would come to."""
    took = f" in {duration_text(trial.evaluation.duration_s)}" if trial.evaluation.duration_s else ""
    lines = [f"{_status(trial.status, paint=paint)}  {paint.bold(name)} at {moment_text(trial.at)}{took}"]
    if trial.status == TickStatus.TICK_STATUS_SUCCESS:
        backfills = f", and make {count_text(len(trial.backfills), 'backfill')}" if trial.backfills else ""
        lines.append(f"It would start {count_text(len(trial.runs), 'run')}{backfills}:")
        lines += [f"  {_run_text(run)}" for run in trial.runs]
        lines += [f"  a backfill of {_subsets_text(it)}" for it in trial.backfills]
    elif trial.skip_reason:
        lines.append(f"It would start nothing: {trial.skip_reason}")
    for change in trial.changes.partitions:
        lines += [f"  adds partition {key!r} of {change.name}" for key in change.added]
        lines += [f"  deletes partition {key!r} of {change.name}" for key in change.deleted]
    lines += [_event_text(event) for event in trial.changes.asset_events]
    lines += [f"  tags run {change.run_id[:8]}" for change in trial.changes.run_tags]
    lines += [f"  moves its cursor to {trial.cursor!r}"] if trial.cursor else []
    lines += log_lines(trial.evaluation.log_lines, left_out=trial.evaluation.lines_left_out, paint=paint)
    if trial.HasField("failure"):
        lines += failure_lines(trial.failure, paint=paint)
    return [*lines, paint.dim("Nothing was written, and nothing started.")]


def _subsets_text(backfill: WantedBackfill) -> str:
    return ", ".join(_subset_text(it) for it in backfill.assets)


def _subset_text(it: AssetSubset) -> str:
    count = f" ({count_text(it.partition_count, 'partition')})" if it.has_partitions else ""
    return f"{asset_text(it.asset)}{count}"


def state_text(schedule: Automation, *, paint: Paint) -> str:
    """Tell whether it runs."""
    if schedule.is_gone:
        return paint.dim("GONE")
    return paint.green("RUNNING") if schedule.is_running else paint.yellow("STOPPED")


def since_text(schedule: Automation) -> str:
    """Tell who decided that it runs, or rests."""
    if not schedule.is_decided:
        return "(the code's default)"
    who = f" by {schedule.decided_by}" if schedule.decided_by else ""
    return f"(decided {age_text(schedule.decided_at)}{who})"


def last_tick_text(schedule: Automation, *, paint: Paint) -> str:
    """Tell what came of the newest tick."""
    if not schedule.HasField("last_tick"):
        return "-"
    return f"{_status(schedule.last_tick.status, paint=paint)} {age_text(schedule.last_tick.at)}"


def _status(status: "TickStatus.ValueType", *, paint: Paint) -> str:
    text = enum_text(status, descriptor=TickStatus.DESCRIPTOR)
    if status == TickStatus.TICK_STATUS_SUCCESS:
        return paint.green(text)
    if status == TickStatus.TICK_STATUS_FAILED:
        return paint.red(text)
    return paint.cyan(text) if status == TickStatus.TICK_STATUS_STARTED else paint.dim(text)


def why_text(tick: Tick) -> str:
    """Tell why a tick came to nothing."""
    if tick.HasField("failure"):
        return failure_headline(tick.failure)
    return " ".join(tick.skip_reason.split())


def _event_text(event: Event) -> str:
    kind = event.WhichOneof("body") or ""
    words = {
        "asset_materialized": "tells that asset {} was materialized",
        "asset_observed": "tells that asset {} was observed",
        "asset_check_evaluated": "tells of a check of asset {}",
    }
    return "  " + words[kind].format(asset_text(getattr(event, kind).asset)) if kind in words else "  tells of an event"


def _run_text(run: RunRequest) -> str:
    assets = ", ".join(asset_text(key) for key in run.asset_selection)
    parts = [run.job_name or assets, f"assets {assets}" if assets and run.job_name else ""]
    parts.append(f"partition {run.partition_key}" if run.partition_key else "")
    parts.append(f"key {run.tags['dagster/run_key']}" if "dagster/run_key" in run.tags else "")
    return "  ".join(part for part in parts if part)


def log_lines(lines: Iterable[LogLine], *, left_out: int, paint: Paint) -> list[str]:
    """Tell what user code logged."""
    shown = [
        f"{paint.dim(clock_text(line.occurred_at))} {_LEVELS.get(line.level, str(line.level)):8} {line.message}"
        for line in lines
    ]
    if left_out:
        shown.append(paint.dim(f"… and {count_text(left_out, 'line')} more"))
    return ["", *shown] if shown else []
