"""Everything that a Dagster repository defines, sorted, so that equal definitions give equal bytes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.described.config_schema import config_field
from isthmus_code_server.definitions.dagster.described.job_snapshot import job_snapshot
from isthmus_code_server.definitions.dagster.described.partitions import partitions_snapshot
from isthmus_code_server.definitions.dagster.values.metadata import asset_key, metadata_entries

if TYPE_CHECKING:
    from dagster import JobDefinition, RepositoryDefinition

_KIND_TAG_PREFIX = "dagster/kind/"

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


def location_snapshot(repository: "RepositoryDefinition") -> pb.LocationSnapshot:
    """Describe a repository."""
    jobs = sorted(repository.get_all_jobs(), key=lambda job: job.name)
    return pb.LocationSnapshot(
        jobs=[job_snapshot(job) for job in jobs],
        assets=_assets(repository, jobs),
        schedules=[_schedule(schedule) for schedule in sorted(repository.schedule_defs, key=_name)],
        sensors=[_sensor(sensor) for sensor in sorted(repository.sensor_defs, key=_name)],
        resources=[
            _resource(name, resource) for name, resource in sorted(repository.get_top_level_resources().items())
        ],
    )


def _name(definition: Any) -> str:
    return str(definition.name)


def _assets(repository: "RepositoryDefinition", jobs: "list[JobDefinition]") -> list[pb.AssetSnapshot]:
    graph = repository.asset_graph
    jobs_by_asset: dict[Any, list[str]] = {}
    for job in jobs:
        for key in job.asset_layer.executable_asset_keys:
            jobs_by_asset.setdefault(key, []).append(job.name)
    return [
        _asset(graph.get(key), graph, job_names=jobs_by_asset.get(key, []))
        for key in sorted(graph.get_all_asset_keys())
    ]


def _asset(node: Any, graph: Any, *, job_names: list[str]) -> pb.AssetSnapshot:
    checks = sorted((graph.get_check_spec(key) for key in node.check_keys), key=_name)
    return pb.AssetSnapshot(
        key=asset_key(node.key),
        group=node.group_name,
        description=node.description or "",
        deps=[asset_key(key) for key in sorted(node.parent_keys)],
        kinds=sorted(node.kinds),
        tags={key: value for key, value in node.tags.items() if not key.startswith(_KIND_TAG_PREFIX)},
        owners=sorted(node.owners),
        partitions=partitions_snapshot(node.partitions_def),
        checks=[
            pb.AssetCheckSnapshot(name=spec.name, description=spec.description or "", is_blocking=spec.blocking)
            for spec in checks
        ],
        jobs=sorted(job_names),
        is_executable=node.is_executable,
        is_observable=node.is_observable,
        op_name=node.assets_def.node_def.name if node.is_executable else "",
        metadata=metadata_entries(node.metadata),
        code_version=node.code_version or "",
    )


def _schedule(schedule: Any) -> pb.ScheduleSnapshot:
    cron = schedule.cron_schedule
    return pb.ScheduleSnapshot(
        name=schedule.name,
        description=schedule.description or "",
        # In the order of the definition: the order of a list of crons may mean something to its author.
        cron_schedules=[cron] if isinstance(cron, str) else list(cron),
        timezone=schedule.execution_timezone or "UTC",
        job_name=schedule.job_name,
        is_running_by_default=schedule.default_status.value == "RUNNING",
    )


def _sensor(sensor: Any) -> pb.SensorSnapshot:
    return pb.SensorSnapshot(
        name=sensor.name,
        description=sensor.description or "",
        kind=_SENSOR_KINDS.get(sensor.sensor_type.value, sensor.sensor_type.value.lower()),
        job_names=sorted({target.job_name for target in sensor.targets or ()}),
        minimum_interval_s=sensor.minimum_interval_seconds or 0,
        is_running_by_default=sensor.default_status.value == "RUNNING",
    )


def _resource(name: str, resource: Any) -> pb.ResourceSnapshot:
    snapshot = pb.ResourceSnapshot(
        name=name, description=resource.description or "", type_name=_resource_type_name(resource)
    )
    schema = resource.config_schema.as_field() if resource.config_schema else None
    if schema is not None:
        snapshot.config.CopyFrom(config_field(schema, name="config", has_defaults=False))
    return snapshot


def _resource_type_name(resource: Any) -> str:
    """Name the class that the user wrote, not the definition that Dagster wrapped around it."""
    inner = getattr(resource, "configurable_resource_cls", None) or getattr(resource, "_resource_type", None)
    if isinstance(inner, type):
        return inner.__name__
    function = getattr(resource, "resource_fn", None)
    return getattr(function, "__name__", type(resource).__name__)
