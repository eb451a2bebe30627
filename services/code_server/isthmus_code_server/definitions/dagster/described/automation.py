"""Schedules and sensors as the contract describes them: with what decides when they are asked, and what they run."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.values.metadata import asset_key, check_key, metadata_entries

if TYPE_CHECKING:
    from dagster import RepositoryDefinition

#: By the value of Dagster's SensorType.
_SENSOR_KINDS: Mapping[str, str] = {
    "STANDARD": "standard",
    "RUN_STATUS": "run_status",
    "ASSET": "asset",
    "MULTI_ASSET": "multi_asset",
    "FRESHNESS_POLICY": "freshness",
    "AUTO_MATERIALIZE": "automation",
    "AUTOMATION": "automation",
}

#: What tells that a run has come to a status, by the value of Dagster's DagsterRunStatus.
_KINDS_OF_EVENTS: Mapping[str, str] = {
    "QUEUED": "run_queued",
    "STARTING": "run_starting",
    "STARTED": "run_started",
    "SUCCESS": "run_succeeded",
    "FAILURE": "run_failed",
    "CANCELING": "run_cancel_requested",
    "CANCELED": "run_canceled",
}


def schedule_snapshot(schedule: Any, repository: "RepositoryDefinition") -> pb.ScheduleSnapshot:
    """Describe a schedule."""
    cron = schedule.cron_schedule
    return pb.ScheduleSnapshot(
        name=schedule.name,
        description=schedule.description or "",
        # In the order of the definition: the order of a list of crons may mean something to its author.
        cron_schedules=[cron] if isinstance(cron, str) else list(cron),
        timezone=schedule.execution_timezone or "UTC",
        job_name=schedule.job_name,
        is_running_by_default=schedule.default_status.value == "RUNNING",
        target=_target(schedule.target, repository, is_anonymous=schedule.has_anonymous_job),
        tags=dict(schedule.tags),
        metadata=metadata_entries(schedule.metadata),
    )


def sensor_snapshot(sensor: Any, repository: "RepositoryDefinition") -> pb.SensorSnapshot:
    """Describe a sensor."""
    told = pb.SensorSnapshot(
        name=sensor.name,
        description=sensor.description or "",
        kind=_SENSOR_KINDS.get(sensor.sensor_type.value, sensor.sensor_type.value.lower()),
        job_names=sorted({target.job_name for target in sensor.targets or ()}),
        minimum_interval_s=sensor.minimum_interval_seconds or 0,
        is_running_by_default=sensor.default_status.value == "RUNNING",
        targets=[
            _target(target, repository, is_anonymous=sensor.has_anonymous_job)
            for target in sorted(sensor.targets or (), key=lambda target: str(target.job_name))
        ],
        tags=dict(sensor.tags),
        metadata=metadata_entries(sensor.metadata),
    )
    if told.kind == "automation":
        _tell_automation(told, sensor, repository)
    elif sensor.asset_selection is not None:
        told.targets.append(_selected(sensor.asset_selection, repository, job_name=""))
    if told.kind == "run_status" and (watch := _run_status(sensor)) is not None:
        told.run_status.CopyFrom(watch)
    told.monitored_assets.extend(asset_key(key) for key in sorted(_monitored_assets(sensor, repository)))
    return told


def _target(target: Any, repository: "RepositoryDefinition", *, is_anonymous: bool) -> pb.TargetSnapshot:
    selection = getattr(target.resolvable_to_job, "selection", None) if is_anonymous else None
    if selection is not None:
        return _selected(selection, repository, job_name=target.job_name)
    return pb.TargetSnapshot(job_name=target.job_name, op_selection=target.op_selection or ())


def _selected(selection: Any, repository: "RepositoryDefinition", *, job_name: str) -> pb.TargetSnapshot:
    graph = repository.asset_graph
    return pb.TargetSnapshot(
        job_name=job_name,
        asset_selection=[asset_key(key) for key in sorted(selection.resolve(graph))],
        check_selection=[check_key(key) for key in sorted(selection.resolve_checks(graph))],
    )


def _tell_automation(told: pb.SensorSnapshot, sensor: Any, repository: "RepositoryDefinition") -> None:
    selected = _selected(sensor.asset_selection, repository, job_name="")
    told.automated_assets.extend(selected.asset_selection)
    told.automated_checks.extend(selected.check_selection)
    # Older versions of Dagster have fewer of these.
    told.automated_jobs.extend(sorted(_job_name(key) for key in getattr(sensor, "asset_job_keys", ())))
    told.run_tags.update(getattr(sensor, "run_tags", {}))
    told.emits_backfills = bool(getattr(sensor, "emit_backfills", False))


def _job_name(key: Any) -> str:
    return str(getattr(key, "job_name", key))


def _told_to(sensor: Any) -> Mapping[str, Any]:
    """Return what the function that Dagster made of a sensor was given: that is kept nowhere else in every version."""
    function = getattr(sensor, "_raw_fn", None)
    return inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}


def _run_status(sensor: Any) -> pb.RunStatusWatch | None:
    """Describe which runs a sensor looks at; None where this version of Dagster does not tell."""
    told = _told_to(sensor)
    if not {"event_type", "run_status", "monitor_all_code_locations"} <= told.keys():
        return None
    watch = pb.RunStatusWatch(
        status=told["run_status"].value,
        event_kind=_KINDS_OF_EVENTS.get(told["run_status"].value, ""),
        is_everywhere=bool(told["monitor_all_code_locations"]),
    )
    for job in told.get("current_repo_jobs", ()):
        watch.monitored.add(job_name=job.name)
    for selector in (*told.get("other_repos", ()), *told.get("other_repo_jobs", ())):
        watch.monitored.add(
            location_name=selector.location_name,
            repository_name=selector.repository_name,
            job_name=getattr(selector, "job_name", ""),
        )
    return watch


def _monitored_assets(sensor: Any, repository: "RepositoryDefinition") -> "set[Any]":
    kind = _SENSOR_KINDS.get(sensor.sensor_type.value)
    if kind == "asset":
        return {sensor.asset_key}
    if kind != "multi_asset":
        return set()
    monitored = _told_to(sensor).get("monitored_assets")
    if monitored is None:
        return set()
    return set(monitored.resolve(repository.asset_graph) if hasattr(monitored, "resolve") else monitored)
