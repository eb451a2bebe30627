"""What a schedule or a sensor asks to be run, as the contract tells it."""

import json
from typing import Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.values.metadata import asset_key, check_key


def requested_run(request: Any, *, job_name: str, framework: str, asset_graph: Any) -> pb.RequestedRun:
    """Translate Dagster's RunRequest.

    Args:
        request: The request.
        job_name: The job of a request that names none.
        framework: The framework and its version.
        asset_graph: The definitions' asset graph.
    """
    run = pb.RequestedRun(tags=dict(request.tags))
    subset = getattr(request, "asset_graph_subset", None)
    if subset is not None:
        run.backfill.CopyFrom(asset_graph_subset(subset, framework=framework, asset_graph=asset_graph))
        return run
    run.run_key = request.run_key or ""
    run.job_name = request.job_name or job_name
    run.run_config_json = json.dumps(request.run_config, sort_keys=True) if request.run_config else ""
    run.asset_selection.extend(asset_key(key) for key in request.asset_selection or ())
    run.partition_key = request.partition_key or ""
    run.has_check_selection = request.asset_check_keys is not None
    run.check_selection.extend(check_key(key) for key in request.asset_check_keys or ())
    run.is_stale_assets_only = request.stale_assets_only
    return run


def asset_graph_subset(subset: Any, *, framework: str, asset_graph: Any) -> pb.AssetGraphSubset:
    """Translate a part of the asset graph: for people by ranges of partitions, and in Dagster's own form."""
    from dagster._serdes import serialize_value

    told = pb.AssetGraphSubset(framework=framework, framework_bytes=serialize_value(subset).encode())
    by_key: dict[Any, Any] = dict.fromkeys(subset.non_partitioned_asset_keys)
    by_key.update(subset.partitions_subsets_by_asset_key)
    for key in sorted(by_key):
        told.assets.append(_asset_subset(key, by_key[key], asset_graph=asset_graph))
    return told


def _asset_subset(key: Any, partitions: Any, *, asset_graph: Any) -> pb.AssetSubset:
    asset = pb.AssetSubset(asset=asset_key(key), has_partitions=partitions is not None)
    if partitions is not None:
        asset.partition_count = len(partitions)
        for each in partitions.get_partition_key_ranges(asset_graph.get(key).partitions_def):
            asset.ranges.add(first=each.start, last=each.end)
    return asset
