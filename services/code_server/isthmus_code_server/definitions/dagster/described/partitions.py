"""Partitions: their description in a snapshot, and the check of a key."""

from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.clock import timestamp
from isthmus_code_server.definitions.dagster.values.near import meant

if TYPE_CHECKING:
    from dagster import PartitionsDefinition

    AnyPartitions = PartitionsDefinition[Any]

_KEY_SEPARATOR = "|"


def partitions_snapshot(partitions: "AnyPartitions | None") -> pb.PartitionsSnapshot:
    """Describe a partitions definition; empty for none."""
    from dagster import (
        DynamicPartitionsDefinition,
        MultiPartitionsDefinition,
        StaticPartitionsDefinition,
        TimeWindowPartitionsDefinition,
    )

    match partitions:
        case None:
            return pb.PartitionsSnapshot()
        case StaticPartitionsDefinition():
            # In the order of the definition: it is the order of the partitions themselves.
            return pb.PartitionsSnapshot(kind="static", keys=list(partitions.get_partition_keys()))
        case TimeWindowPartitionsDefinition():
            return _time_windows(partitions)
        case MultiPartitionsDefinition():
            dimensions = {
                dimension.name: partitions_snapshot(dimension.partitions_def)
                for dimension in partitions.partitions_defs
            }
            return pb.PartitionsSnapshot(kind="multi", dimensions=dimensions)
        case DynamicPartitionsDefinition():
            return pb.PartitionsSnapshot(kind="dynamic", dynamic_name=partitions.name or "")
    return pb.PartitionsSnapshot(kind=type(partitions).__name__)


def _time_windows(partitions: Any) -> pb.PartitionsSnapshot:
    snapshot = pb.PartitionsSnapshot(
        kind="time_window",
        cron_schedule=partitions.cron_schedule,
        start=timestamp(partitions.start.timestamp()),
        timezone=partitions.timezone,
        format=partitions.fmt,
        end_offset=partitions.end_offset,
    )
    if partitions.end is not None:
        snapshot.end.CopyFrom(timestamp(partitions.end.timestamp()))
    # Older versions of Dagster leave nothing out.
    for each in getattr(partitions, "exclusions", None) or ():
        if isinstance(each, str):
            snapshot.excluded_crons.append(each)
        else:
            snapshot.excluded_starts.append(timestamp(each.timestamp))
    return snapshot


def keys_text(partitions: "AnyPartitions", *, key: str) -> str:
    """Say which keys there are, for a person who wrote one that there is not."""
    from dagster import MultiPartitionsDefinition, TimeWindowPartitionsDefinition

    match partitions:
        case TimeWindowPartitionsDefinition():
            first, last = partitions.get_first_partition_key(), partitions.get_last_partition_key()
            begins = f"the first begins at {partitions.start.isoformat()}"
            return f"they go from {first!r} to {last!r}" if first and last else f"there is none yet, {begins}"
        case MultiPartitionsDefinition():
            dimensions = {each.name: each.partitions_def for each in partitions.partitions_defs}
            parts = key.split(_KEY_SEPARATOR)
            if len(parts) == len(dimensions):
                for name, part in zip(sorted(dimensions), parts, strict=True):
                    if not is_valid_key(dimensions[name], key=part):
                        return f"of {name} there is no {part!r}, {keys_text(dimensions[name], key=part)}"
            return f"write one key of each dimension, as in '{_KEY_SEPARATOR.join(sorted(dimensions)).upper()}'"
    return meant(key, known=partitions.get_partition_keys()) or "none has a name like it"


def is_valid_key(partitions: "AnyPartitions", *, key: str) -> bool:
    """Tell whether a partition has this key.

    The keys of dynamic partitions are kept on the control plane's side: here any key is one.
    """
    from dagster import DynamicPartitionsDefinition, MultiPartitionsDefinition

    match partitions:
        case DynamicPartitionsDefinition():
            return bool(key)
        case MultiPartitionsDefinition():
            parts = key.split(_KEY_SEPARATOR)
            # Dagster writes the parts in the order of the dimensions' names.
            dimensions = sorted(partitions.partitions_defs, key=lambda dimension: dimension.name)
            return len(parts) == len(dimensions) and all(
                is_valid_key(dimension.partitions_def, key=part)
                for dimension, part in zip(dimensions, parts, strict=True)
            )
    try:
        return partitions.has_partition_key(key)
    except ValueError:
        # A time window's key that is no time at all.
        return False
