"""Code locations: as a list, one whole, and how loading went."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from isthmus.v1.control_plane_pb2 import AgentState, Location, LocationPlacement, Standby
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import (
    AssetSnapshot,
    JobSnapshot,
    LocationPhase,
    LocationSnapshot,
    ScheduleSnapshot,
    SensorSnapshot,
)

from isthmus_cli.document import enum_text
from isthmus_cli.view.container import container_facts
from isthmus_cli.view.failure import failure_headline, failure_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.table import Column, Room, table
from isthmus_cli.view.text import (
    age_text,
    asset_text,
    brief_age,
    columns,
    count_text,
    moment_text,
    padded,
    size_text,
    width_of,
)

_LOCATIONS = (
    Column("LOCATION"),
    Column("PHASE"),
    Column("AGENT", least=8),
    Column("POOL", is_extra=True),
    Column("GENERATION", is_extra=True),
    Column("CODE", least=12, may_go=True),
    Column("AGE"),
    Column("WHY", least=20),
)


def location_table(locations: Iterable[Location], *, paint: Paint, room: Room) -> list[str]:
    """List locations, one per line: what serves, what does not load and why."""
    rows = [
        (
            location.settings.name,
            paint.phase(location.phase),
            ", ".join(placement.agent for placement in location.placements) or "-",
            location.settings.pool or "default",
            str(location.generation),
            source_text(location.settings.source),
            brief_age(location.applied_at),
            _trouble(location),
        )
        for location in locations
    ]
    return table(_LOCATIONS, rows, room=room)


def _trouble(location: Location) -> str:
    """Tell in one line what is wrong with a location; nothing when it serves."""
    for placement in location.placements:
        report = placement.report
        if report.phase == LocationPhase.LOCATION_PHASE_FAILED:
            serving = f" (generation {report.serving_generation} serves)" if report.serving_generation else ""
            return failure_headline(report.failure) + serving
    if not location.placements:
        return f"no agent of pool {location.settings.pool or 'default'} has it"
    progress = next((placement.report.progress for placement in location.placements if placement.report.progress), "")
    return progress or missing_replicas(location)


def missing_replicas(location: Location) -> str:
    """Tell that a location is on fewer agents than it is to be on; nothing when it is on all of them."""
    wanted = max(1, location.settings.replicas)
    there = [it.agent for it in location.placements if not _absence(it)]
    if wanted == 1 or len(there) >= wanted:
        return ""
    return f"on {len(there)} of {wanted} agents: no other of pool {location.settings.pool or 'default'} is online"


def _absence(placement: LocationPlacement) -> str:
    """Tell why an agent serves nobody now; nothing for one that is online, or of which nothing is known."""
    state = placement.agent_state
    if state in (AgentState.AGENT_STATE_UNSPECIFIED, AgentState.AGENT_STATE_ONLINE):
        return ""
    return enum_text(state, descriptor=AgentState.DESCRIPTOR).lower()


def location_lines(location: Location, *, paint: Paint) -> list[str]:
    """Tell one location whole: where it serves, what failed, what it defines."""
    settings = location.settings
    facts = [
        ("location", paint.bold(settings.name)),
        ("phase", f"{paint.phase(location.phase)}, generation {location.generation}"),
        ("pool", settings.pool or "default"),
        ("replicas", f"{settings.replicas} agents" if settings.replicas else ""),
        ("source", source_text(settings.source)),
        ("folder", settings.source.working_directory),
        ("python", settings.source.python_executable),
        ("env", ", ".join(sorted(settings.env))),
        *container_facts(settings),
        ("applied", moment_text(location.applied_at)),
    ]
    lines = [f"{paint.dim(f'{name:10}')}{value}" for name, value in facts if value]
    lines += _placement_lines(location, paint=paint)
    lines += snapshot_lines(location.snapshot, paint=paint)
    return [*lines, *load_failure_lines(location, paint=paint)]


def load_failure_lines(location: Location, *, paint: Paint) -> list[str]:
    """Tell why the wanted generation does not load, agent by agent; nothing when it does."""
    lines: list[str] = []
    for placement in location.placements:
        report = placement.report
        if report.phase != LocationPhase.LOCATION_PHASE_FAILED:
            continue
        lines += ["", paint.bold(f"Generation {report.generation} does not load on agent {placement.agent}")]
        lines += failure_lines(report.failure, paint=paint)
        if report.serving_generation:
            lines.append(f"Generation {report.serving_generation} goes on serving.")
    return lines


def snapshot_lines(snapshot: LocationSnapshot, *, paint: Paint) -> list[str]:
    """Tell what a location defines."""
    return [
        *_section("warnings", [(warning, "") for warning in snapshot.warnings], paint=paint),
        *_section("jobs", [_job_row(job) for job in snapshot.jobs if not job.is_implicit_asset_job], paint=paint),
        *_asset_lines(snapshot.assets, paint=paint),
        *_section("schedules", [_schedule_row(schedule) for schedule in snapshot.schedules], paint=paint),
        *_section("sensors", [_sensor_row(sensor) for sensor in snapshot.sensors], paint=paint),
        *_section("resources", [(resource.name, resource.type_name) for resource in snapshot.resources], paint=paint),
    ]


def contents_text(snapshot: LocationSnapshot) -> str:
    """Count what a location defines."""
    counts = [
        (sum(not job.is_implicit_asset_job for job in snapshot.jobs), "job"),
        (len(snapshot.assets), "asset"),
        (sum(len(asset.checks) for asset in snapshot.assets), "check"),
        (len(snapshot.schedules), "schedule"),
        (len(snapshot.sensors), "sensor"),
    ]
    return ", ".join(count_text(count, noun) for count, noun in counts if count) or "-"


def source_text(source: CodeSource) -> str:
    """Name where a location's definitions come from."""
    kind = source.WhichOneof("target")
    target = getattr(source, kind) if kind else "-"
    attribute = f":{source.attribute}" if source.attribute else ""
    return f"{(kind or '').removeprefix('python_')} {target}{attribute}".strip()


def standby_text(standby: Standby) -> str:
    """Tell how many code servers wait for a run, and what they hold in memory."""
    counts = f"{standby.ready} of {standby.wanted}"
    return f"{counts}, {size_text(standby.memory_bytes)}" if standby.memory_bytes else counts


def _placement_lines(location: Location, *, paint: Paint) -> list[str]:
    if not location.placements:
        pool = location.settings.pool or "default"
        return ["", paint.yellow(f"No agent of pool {pool} has it yet. Agents: isthmus agent list")]
    rows = [
        (
            placement.agent + (f" ({absence})" if (absence := _absence(placement)) else ""),
            " ".join(part for part in (paint.phase(placement.report.phase), placement.report.progress) if part),
            str(placement.report.generation),
            str(placement.report.serving_generation or "-"),
            standby_text(placement.standby) if placement.HasField("standby") else "-",
            placement.report.framework,
            placement.report.python_version,
            age_text(placement.reported_at),
        )
        for placement in location.placements
    ]
    return [
        "",
        *columns(("AGENT", "PHASE", "GENERATION", "SERVING", "STANDBY", "FRAMEWORK", "PYTHON", "REPORTED"), rows),
        *([paint.yellow(missing)] if (missing := missing_replicas(location)) else []),
    ]


def _asset_lines(assets: Sequence[AssetSnapshot], *, paint: Paint) -> list[str]:
    lines: list[str] = []
    by_group = sorted(assets, key=lambda asset: (asset.group, asset_text(asset.key)))
    for group, members in groupby(by_group, key=lambda asset: asset.group):
        lines += _section(
            f"assets of group {group or 'default'}", [_asset_row(asset) for asset in members], paint=paint
        )
    return lines


def _section(title: str, rows: "list[tuple[str, str]]", *, paint: Paint) -> list[str]:
    if not rows:
        return []
    width = max(width_of(name) for name, _ in rows)
    return [
        "",
        paint.dim(title),
        *(f"  {padded(name, width=width)}  {paint.dim(facts)}".rstrip() for name, facts in rows),
    ]


def _job_row(job: JobSnapshot) -> tuple[str, str]:
    what = count_text(len(job.assets), "asset") if job.assets else count_text(len(job.ops), "op")
    return job.name, " · ".join(part for part in (what, job.executor, _first_line(job.description)) if part)


def _asset_row(asset: AssetSnapshot) -> tuple[str, str]:
    parts = (
        ", ".join(asset.kinds),
        f"partitions: {asset.partitions.kind}" if asset.partitions.kind else "",
        count_text(len(asset.checks), "check") if asset.checks else "",
        "" if asset.is_executable else "external",
        _first_line(asset.description),
    )
    return asset_text(asset.key), " · ".join(part for part in parts if part)


def _schedule_row(schedule: ScheduleSnapshot) -> tuple[str, str]:
    cron = ", ".join(schedule.cron_schedules) + (f" {schedule.timezone}" if schedule.timezone else "")
    return schedule.name, " · ".join(part for part in (cron, schedule.job_name) if part)


def _sensor_row(sensor: SensorSnapshot) -> tuple[str, str]:
    return sensor.name, " · ".join(part for part in (sensor.kind, ", ".join(sensor.job_names)) if part)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
