"""Schedules: as lists, one whole, and their times."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from isthmus.v1.control_plane_pb2 import Automation, Tick

from isthmus_cli.view.automation import fact_lines, last_tick_text, since_text, state_text, why_text
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import (
    moment_text,
)

_SCHEDULES = (
    Column("SCHEDULE"),
    Column("LOCATION", least=8),
    Column("STATE"),
    Column("CRON", least=9),
    Column("ZONE", may_go=True),
    Column("NEXT"),
    Column("LAST TICK"),
    Column("JOB", is_extra=True),
    Column("WHY", least=16),
)


def schedule_table(schedules: Iterable[Automation], *, paint: Paint, room: Room) -> list[str]:
    """List schedules, one per line."""
    rows = [
        (
            it.name,
            it.location,
            state_text(it, paint=paint),
            ", ".join(it.cron_schedules) or "-",
            it.timezone or "-",
            moment_text(it.next_at) if it.HasField("next_at") else "-",
            last_tick_text(it, paint=paint),
            ", ".join(it.job_names) or "-",
            it.problem or (why_text(it.last_tick) if it.HasField("last_tick") else ""),
        )
        for it in schedules
    ]
    return table(_SCHEDULES, rows, room=room)


def schedule_lines(schedule: Automation, ticks: Sequence[Tick], paint: Paint) -> list[str]:
    """Tell one schedule whole."""
    facts = [
        ("schedule", paint.bold(schedule.name)),
        ("location", schedule.location),
        ("about", schedule.description),
        ("state", f"{state_text(schedule, paint=paint)}  {paint.dim(since_text(schedule))}"),
        ("cron", ", ".join(schedule.cron_schedules)),
        ("zone", schedule.timezone),
        ("job", ", ".join(schedule.job_names)),
        ("next", moment_text(schedule.next_at) if schedule.HasField("next_at") else ""),
        ("catches up", f"{schedule.catch_up} missed times" if schedule.catch_up > 1 else ""),
        ("problem", paint.red(schedule.problem) if schedule.problem else ""),
    ]
    return fact_lines(facts, ticks=ticks, paint=paint)


def time_lines(times: Sequence[datetime], *, timezone: str, problem: str) -> list[str]:
    """Tell times as the schedule's own clocks show them, and in UTC where that differs."""
    if not times:
        return [problem or "It is never due."]
    try:
        zone = ZoneInfo(timezone or "UTC")
    except (OSError, ValueError, KeyError):
        # This machine may know fewer zones than the control plane's.
        return [it.strftime("%a %Y-%m-%d %H:%M UTC") for it in times]
    shown = [it.astimezone(zone) for it in times]
    return [
        local.strftime("%a %Y-%m-%d %H:%M %Z")
        + ("" if not local.utcoffset() else it.astimezone(UTC).strftime("  (%Y-%m-%d %H:%M UTC)"))
        for it, local in zip(times, shown, strict=True)
    ]
