"""Asks a Dagster schedule or sensor what to run at a tick."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.values.metadata import asset_key
from isthmus_code_server.definitions.port import SensorTick
from isthmus_code_server.errors import UnknownDefinitionError

if TYPE_CHECKING:
    from dagster import DagsterInstance, RepositoryDefinition


def evaluate_schedule(
    name: str, *, scheduled_at: datetime, repository: "RepositoryDefinition", instance: "DagsterInstance"
) -> pb.ScheduleAnswer:
    """Evaluate a schedule.

    Raises:
        UnknownDefinitionError: No schedule has this name.
        Exception: Whatever the user's code raised.
    """
    from isthmus_code_server.definitions.dagster.evaluated.evaluation_context import ScheduleContext

    if not repository.has_schedule_def(name):
        raise UnknownDefinitionError(name, kind="schedule")
    schedule = repository.get_schedule_def(name)
    with ScheduleContext(
        instance=instance,
        scheduled_execution_time=scheduled_at,
        repository_name=repository.name,
        schedule_name=name,
        resources=_resources(repository, schedule.required_resource_keys),
        repository_def=repository,
    ) as context:
        data = schedule.evaluate_tick(context)
    runs = [_requested_run(request, job_name=schedule.job_name) for request in data.run_requests or ()]
    return pb.ScheduleAnswer(runs=runs, skip_reason=data.skip_message or "")


def evaluate_sensor(
    name: str, *, tick: SensorTick, repository: "RepositoryDefinition", instance: "DagsterInstance"
) -> pb.SensorAnswer:
    """Evaluate a sensor; dynamic partitions that it asks for are added before its runs are answered.

    Raises:
        UnknownDefinitionError: No sensor has this name.
        Exception: Whatever the user's code raised.
    """
    from isthmus_code_server.definitions.dagster.evaluated.evaluation_context import SensorContext

    if not repository.has_sensor_def(name):
        raise UnknownDefinitionError(name, kind="sensor")
    sensor = repository.get_sensor_def(name)
    with SensorContext(
        instance=instance,
        last_tick_completion_time=tick.last_tick_at.timestamp() if tick.last_tick_at is not None else None,
        last_run_key=tick.last_run_key or None,
        cursor=tick.cursor or None,
        repository_name=repository.name,
        repository_def=repository,
        sensor_name=name,
        resources=_resources(repository, sensor.required_resource_keys),
    ) as context:
        data = sensor.evaluate_tick(context)
    for request in data.dynamic_partitions_requests or ():
        _change_partitions(request, instance)
    targets = list(sensor.targets or ())
    default_job = targets[0].job_name if len(targets) == 1 else ""
    runs = [_requested_run(request, job_name=default_job) for request in data.run_requests or ()]
    return pb.SensorAnswer(runs=runs, skip_reason=data.skip_message or "", cursor=data.cursor or "")


def _change_partitions(request: Any, instance: "DagsterInstance") -> None:
    from dagster import AddDynamicPartitionsRequest

    if isinstance(request, AddDynamicPartitionsRequest):
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return
    for key in request.partition_keys:
        instance.delete_dynamic_partition(request.partitions_def_name, key)


def _resources(repository: "RepositoryDefinition", keys: Any) -> Mapping[str, Any]:
    """Return the resources that an evaluation asks for, and those that they ask for."""
    from dagster._core.execution.resources_init import get_transitive_required_resource_keys

    resources = repository.get_top_level_resources()
    needed = get_transitive_required_resource_keys(keys, resources)
    return {name: resource for name, resource in resources.items() if name in needed}


def _requested_run(request: Any, *, job_name: str) -> pb.RequestedRun:
    return pb.RequestedRun(
        run_key=request.run_key or "",
        job_name=request.job_name or job_name,
        run_config_json=json.dumps(request.run_config, sort_keys=True) if request.run_config else "",
        tags=dict(request.tags),
        asset_selection=[asset_key(key) for key in request.asset_selection or ()],
        partition_key=request.partition_key or "",
    )
