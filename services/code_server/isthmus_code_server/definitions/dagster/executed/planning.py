"""Which assets and checks a run is to make, told at its start."""

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.clock import now
from isthmus_code_server.definitions.dagster.values.metadata import asset_key

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from isthmus_code_server.definitions.dagster.executed.request import ResolvedRequest

_PARTITION_TAG = "dagster/partition"
_RANGE_START_TAG = "dagster/asset_partition_range_start"
_RANGE_END_TAG = "dagster/asset_partition_range_end"


def planned_events(request: "ResolvedRequest", *, instance: "DagsterInstance") -> Iterator[pb.Event]:
    """Tell what the plan's steps are to make, one event for each partition of an asset."""
    for step_key in request.plan.step_keys_to_execute:
        step: Any = request.plan.get_step_by_key(step_key)
        for output in step.step_outputs:
            for event in _events_of(output.properties, request=request, instance=instance):
                event.step_key = step_key
                yield event


def _events_of(properties: Any, *, request: "ResolvedRequest", instance: "DagsterInstance") -> Iterator[pb.Event]:
    check = properties.asset_check_key
    if properties.asset_key is not None:
        for partition in _partitions(properties.asset_key, request=request, instance=instance):
            event = pb.Event(occurred_at=now())
            event.asset_planned.asset.CopyFrom(asset_key(properties.asset_key))
            event.asset_planned.partition = partition
            yield event
    elif check is not None:
        for partition in _partitions(check, request=request, instance=instance):
            event = pb.Event(occurred_at=now())
            event.asset_check_planned.asset.CopyFrom(asset_key(check.asset_key))
            event.asset_check_planned.check_name = check.name
            event.asset_check_planned.partition = partition
            yield event


def _partitions(key: Any, *, request: "ResolvedRequest", instance: "DagsterInstance") -> list[str]:
    """Return the partitions of an asset, or of a check, that the run is to make; an empty one where there are none."""
    tags: Mapping[str, str] = request.tags
    partitions = _partitions_of(key, request=request)
    if partitions is None:
        return [""]
    if _RANGE_START_TAG not in tags or _RANGE_END_TAG not in tags:
        return [tags.get(_PARTITION_TAG, "")]
    return _keys_in_range(partitions, start=tags[_RANGE_START_TAG], end=tags[_RANGE_END_TAG], instance=instance)


def _partitions_of(key: Any, *, request: "ResolvedRequest") -> Any:
    """Return what a run's partitions are told by: as in Dagster, those of time are the whole run's, others each one's own."""
    from dagster import TimeWindowPartitionsDefinition

    whole: Any = request.job.partitions_def
    if isinstance(whole, TimeWindowPartitionsDefinition):
        return whole
    graph: Any = request.job.asset_layer.asset_graph
    # The checks of older Dagsters have no partitions.
    return getattr(graph.get(key), "partitions_def", None) if graph.has(key) else None


def _keys_in_range(partitions: Any, *, start: str, end: str, instance: "DagsterInstance") -> list[str]:
    from dagster import PartitionKeyRange

    span = PartitionKeyRange(start, end)
    if "dynamic_partitions_store" in signature(partitions.get_partition_keys_in_range).parameters:
        # Dagster 1.10 takes the store with the call.
        return [str(key) for key in partitions.get_partition_keys_in_range(span, dynamic_partitions_store=instance)]
    from dagster._core.definitions.partitions.context import partition_loading_context

    with partition_loading_context(dynamic_partitions_store=instance):
        return [str(key) for key in partitions.get_partition_keys_in_range(span)]
