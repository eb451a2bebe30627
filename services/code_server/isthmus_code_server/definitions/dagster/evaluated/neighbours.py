"""Assets of other locations, as conditions of this one's have to see them: with their partitions and their checks.

A location knows an asset that it depends on by name alone. Without its partitions a condition would take each of its own
partitions for updated when one of the asset's was.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    Definitions,
    DynamicPartitionsDefinition,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    TimeWindowPartitionsDefinition,
    asset_check,
)
from isthmus.v1.telemetry_pb2 import AssetSnapshot, PartitionsSnapshot

if TYPE_CHECKING:
    AnyPartitions = PartitionsDefinition[Any]


def enrich(graph: Any, neighbours: Iterable[AssetSnapshot], *, logger: logging.Logger) -> None:
    """Tell a graph what is known of assets that it knows by name. Doing so again changes what has changed."""
    told = {key: it for it in neighbours if graph.has(key := AssetKey(list(it.key.path)))}
    told = {key: it for key, it in told.items() if not graph.get(key).is_executable}
    if not told:
        return
    around = _graph_of(told, logger=logger)
    for key in told:
        before, node = graph.get(key), around.get(key)
        node.parent_keys, node.child_keys = before.parent_keys, before.child_keys
        node._check_keys = {*before.check_keys, *node.check_keys}  # noqa: SLF001  # there is no other way to it
        graph._asset_nodes_by_key[key] = node  # noqa: SLF001  # the same
        for check in around.get_check_keys_for_assets({key}):
            if not graph.has(check):
                graph._asset_check_nodes_by_key[check] = around.get(check)  # noqa: SLF001  # the same


def _graph_of(told: dict[AssetKey, AssetSnapshot], *, logger: logging.Logger) -> Any:
    specs = [AssetSpec(key, partitions_def=_partitions(it, logger=logger)) for key, it in told.items()]
    checks = [_check(key, name=one.name) for key, it in told.items() for one in it.checks if one.is_blocking]
    repository: Any = Definitions(assets=[AssetsDefinition(specs=[spec]) for spec in specs], asset_checks=checks)
    return repository.get_repository_def().asset_graph


def _check(key: AssetKey, *, name: str) -> Any:
    spec = AssetCheckSpec(name, asset=key, blocking=True)

    @asset_check(asset=key, name=spec.name, blocking=spec.blocking)
    def elsewhere() -> AssetCheckResult:
        raise NotImplementedError

    return elsewhere


def _partitions(it: AssetSnapshot, *, logger: logging.Logger) -> "AnyPartitions | None":
    if not it.partitions.kind:
        return None
    found = partitions_of(it.partitions)
    if found is None:
        name, kind = "/".join(it.key.path), it.partitions.kind
        logger.warning("the partitions of %r, which another location defines, are not known here: %s", name, kind)
    return found


def partitions_of(told: PartitionsSnapshot) -> "AnyPartitions | None":
    """Return the partitions that a snapshot describes; None for a kind that only its author's code knows."""
    match told.kind:
        case "static":
            return StaticPartitionsDefinition(list(told.keys))
        case "time_window":
            return _time_windows(told)
        case "dynamic" if told.dynamic_name:
            return DynamicPartitionsDefinition(name=told.dynamic_name)
        case "multi":
            dimensions = {name: partitions_of(it) for name, it in told.dimensions.items()}
            known = {name: it for name, it in dimensions.items() if it is not None}
            return MultiPartitionsDefinition(known) if len(known) == len(dimensions) else None
    return None


def _time_windows(told: PartitionsSnapshot) -> "AnyPartitions":
    zone = ZoneInfo(told.timezone or "UTC")

    def moment(stamp: Any) -> datetime:
        at: datetime = stamp.ToDatetime(tzinfo=UTC)
        return at.astimezone(zone)

    excluded = [*told.excluded_crons, *(moment(it) for it in told.excluded_starts)]
    # Older versions of Dagster leave nothing out.
    beside: dict[str, Any] = {"exclusions": excluded} if excluded else {}
    return TimeWindowPartitionsDefinition(
        cron_schedule=told.cron_schedule,
        start=moment(told.start),
        end=moment(told.end) if told.HasField("end") else None,
        timezone=told.timezone or "UTC",
        fmt=told.format,
        end_offset=told.end_offset,
        **beside,
    )
