"""Everything that a Dagster repository defines, sorted, so that equal definitions give equal bytes."""

from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.described.asset_snapshot import asset_snapshot
from isthmus_code_server.definitions.dagster.described.automation import schedule_snapshot, sensor_snapshot
from isthmus_code_server.definitions.dagster.described.config_schema import config_field
from isthmus_code_server.definitions.dagster.described.job_snapshot import job_snapshot

if TYPE_CHECKING:
    from dagster import JobDefinition, RepositoryDefinition


def location_snapshot(repository: "RepositoryDefinition") -> pb.LocationSnapshot:
    """Describe a repository."""
    jobs = sorted(repository.get_all_jobs(), key=lambda job: job.name)
    return pb.LocationSnapshot(
        jobs=[job_snapshot(job, repository_name=repository.name) for job in jobs],
        assets=_assets(repository, jobs),
        schedules=[schedule_snapshot(schedule, repository) for schedule in sorted(repository.schedule_defs, key=_name)],
        sensors=[sensor_snapshot(sensor, repository) for sensor in sorted(repository.sensor_defs, key=_name)],
        resources=[
            _resource(name, resource) for name, resource in sorted(repository.get_top_level_resources().items())
        ],
    )


def _name(definition: Any) -> str:
    return str(definition.name)


def _assets(repository: "RepositoryDefinition", jobs: "list[JobDefinition]") -> list[pb.AssetSnapshot]:
    graph = repository.asset_graph
    jobs_by_asset: dict[Any, list[str]] = {}
    jobs_by_check: dict[Any, list[str]] = {}
    for job in jobs:
        for key in job.asset_layer.executable_asset_keys:
            jobs_by_asset.setdefault(key, []).append(job.name)
        for check in job.asset_layer.asset_graph.asset_check_keys:
            jobs_by_check.setdefault(check, []).append(job.name)
    return [
        asset_snapshot(graph.get(key), graph, job_names=jobs_by_asset.get(key, []), jobs_by_check=jobs_by_check)
        for key in sorted(graph.get_all_asset_keys())
    ]


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
