"""Sensors: as lists, and one whole with its ticks."""

from collections.abc import Iterable, Sequence

from isthmus.v1.control_plane_pb2 import Automation, Tick

from isthmus_cli.view.automation import fact_lines, last_tick_text, since_text, state_text, why_text
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import duration_text, moment_text

_SENSORS = (
    Column("SENSOR"),
    Column("LOCATION", least=8),
    Column("STATE"),
    Column("EVERY"),
    Column("LAST TICK"),
    Column("CURSOR", is_extra=True),
    Column("JOB", is_extra=True),
    Column("WHY", least=16),
)


def sensor_table(sensors: Iterable[Automation], *, paint: Paint, room: Room) -> list[str]:
    """List sensors, one per line."""
    rows = [
        (
            it.name,
            it.location,
            state_text(it, paint=paint),
            duration_text(it.minimum_interval_s) if it.minimum_interval_s else "-",
            last_tick_text(it, paint=paint),
            it.cursor or "-",
            ", ".join(it.job_names) or "-",
            it.problem or (why_text(it.last_tick) if it.HasField("last_tick") else ""),
        )
        for it in sensors
    ]
    return table(_SENSORS, rows, room=room)


def sensor_lines(sensor: Automation, ticks: Sequence[Tick], paint: Paint) -> list[str]:
    """Tell one sensor whole."""
    facts = [
        ("sensor", paint.bold(sensor.name)),
        ("location", sensor.location),
        ("about", sensor.description),
        ("state", f"{state_text(sensor, paint=paint)}  {paint.dim(since_text(sensor))}"),
        ("every", duration_text(sensor.minimum_interval_s) if sensor.minimum_interval_s else ""),
        ("job", ", ".join(sensor.job_names)),
        ("cursor", sensor.cursor),
        ("next", moment_text(sensor.next_at) if sensor.HasField("next_at") else ""),
        ("problem", paint.red(sensor.problem) if sensor.problem else ""),
    ]
    return fact_lines(facts, ticks=ticks, paint=paint)
