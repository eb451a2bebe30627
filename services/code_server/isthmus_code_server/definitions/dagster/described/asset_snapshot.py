"""An asset and its checks as the contract describes them: with what decides when and how they are executed."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.described.partition_mapping import asset_partition_mapping
from isthmus_code_server.definitions.dagster.described.partitions import partitions_snapshot
from isthmus_code_server.definitions.dagster.values.metadata import asset_key, check_key, metadata_entries

_KIND_TAG_PREFIX = "dagster/kind/"
_SECONDS_PER_MINUTE = 60


def asset_snapshot(
    node: Any, graph: Any, *, job_names: list[str], jobs_by_check: Mapping[Any, list[str]]
) -> pb.AssetSnapshot:
    """Describe an asset.

    Args:
        node: Dagster's node of the asset.
        graph: The asset graph that it is in.
        job_names: The jobs that can execute it.
        jobs_by_check: The jobs that can execute a check, by its key.
    """
    parents = sorted(node.parent_keys)
    asset = pb.AssetSnapshot(
        key=asset_key(node.key),
        group=node.group_name,
        description=node.description or "",
        deps=[asset_key(key) for key in parents],
        kinds=sorted(node.kinds),
        tags={key: value for key, value in node.tags.items() if not key.startswith(_KIND_TAG_PREFIX)},
        owners=sorted(node.owners),
        partitions=partitions_snapshot(node.partitions_def),
        checks=[_check(graph, key, job_names=jobs_by_check.get(key, [])) for key in sorted(node.check_keys)],
        jobs=sorted(job_names),
        is_executable=node.is_executable,
        is_observable=node.is_observable,
        is_materializable=node.is_materializable,
        is_stub=node.assets_def.is_auto_created_stub,
        op_name=node.assets_def.node_def.name if node.is_executable else "",
        metadata=metadata_entries(node.metadata),
        code_version=node.code_version or "",
        dependencies=[_dependency(node, key, graph=graph) for key in parents],
        backfill_policy=_backfill_policy(node.backfill_policy),
        pools=sorted(node.pools or ()) if node.is_executable else [],
        freshness=_freshness(node),
        automation=automation_snapshot(node.automation_condition),
        auto_observe_interval_s=(node.auto_observe_interval_minutes or 0) * _SECONDS_PER_MINUTE,
    )
    _tell_execution_set(asset, node.execution_set_entity_keys)
    return asset


def _dependency(node: Any, parent_key: Any, *, graph: Any) -> pb.AssetDependency:
    return pb.AssetDependency(
        asset=asset_key(parent_key), mapping=asset_partition_mapping(node, parent_key, graph=graph)
    )


def _check(graph: Any, key: Any, *, job_names: list[str]) -> pb.AssetCheckSnapshot:
    spec = graph.get_check_spec(key)
    node = graph.get(key)
    return pb.AssetCheckSnapshot(
        name=spec.name,
        description=spec.description or "",
        is_blocking=spec.blocking,
        automation=automation_snapshot(node.automation_condition),
        partitions=partitions_snapshot(node.partitions_def),
        jobs=sorted(job_names),
    )


def automation_snapshot(condition: Any) -> pb.AutomationSnapshot | None:
    """Describe what decides by itself when something is executed; None where nothing does."""
    if condition is None:
        return None
    told = pb.AutomationSnapshot(label=type(condition).__name__)
    # A condition may be the user's own class, and what it says of itself its own code.
    with suppress(Exception):
        told.label = condition.get_label() or condition.name or told.label
    with suppress(Exception):
        told.fingerprint = condition.get_unique_id()
    return told


def _backfill_policy(policy: Any) -> pb.BackfillPolicySnapshot | None:
    if policy is None:
        return None
    return pb.BackfillPolicySnapshot(max_partitions_per_run=policy.max_partitions_per_run or 0)


def _freshness(node: Any) -> pb.FreshnessPolicySnapshot | None:
    """Describe a freshness policy of today's kind: older versions of Dagster have another, about lag, by the same name."""
    policy: Any = getattr(node, "freshness_policy_or_from_metadata", None)
    match type(policy).__name__:
        case "TimeWindowFreshnessPolicy":
            return pb.FreshnessPolicySnapshot(
                kind="time_window",
                fail_after_s=_seconds(policy.fail_window),
                warn_after_s=_seconds(policy.warn_window) if policy.warn_window is not None else 0,
            )
        case "CronFreshnessPolicy":
            return pb.FreshnessPolicySnapshot(
                kind="cron",
                deadline_cron=policy.deadline_cron,
                lower_bound_s=_seconds(policy.serializable_lower_bound_delta),
                timezone=policy.timezone,
            )
    return None


def _seconds(delta: Any) -> float:
    return float(delta.to_timedelta().total_seconds())


def _tell_execution_set(asset: pb.AssetSnapshot, keys: Iterable[Any]) -> None:
    """Tell what is only ever executed together with an asset; an asset that can be executed alone has no such set."""
    members = sorted(keys, key=str)
    if len(members) <= 1:
        return
    for key in members:
        # A check's key names its asset, and the check.
        if hasattr(key, "asset_key"):
            asset.execution_set_checks.append(check_key(key))
        else:
            asset.execution_set_assets.append(asset_key(key))
