"""Which partitions of a parent a partition needs, as the contract tells it."""

from collections.abc import Mapping
from typing import Any

from isthmus.v1 import telemetry_pb2 as pb

#: By the names of Dagster's classes.
_KINDS: Mapping[str, str] = {
    "IdentityPartitionMapping": "identity",
    "AllPartitionMapping": "all",
    "LastPartitionMapping": "last",
    "TimeWindowPartitionMapping": "time_window",
    "StaticPartitionMapping": "static",
    "SpecificPartitionsPartitionMapping": "specific",
    "MultiToSingleDimensionPartitionMapping": "multi_to_single",
    "MultiPartitionMapping": "multi",
    "SubsetPartitionMapping": "subset",
}


def asset_partition_mapping(node: Any, parent_key: Any, *, graph: Any) -> pb.PartitionMappingSnapshot | None:
    """Describe the mapping between an asset and one of its parents; None where both have no partitions.

    Args:
        node: Dagster's node of the asset.
        parent_key: The parent's key.
        graph: The asset graph that both are in.
    """
    chosen = node.partition_mappings.get(parent_key)
    if chosen is None and node.partitions_def is None and graph.get(parent_key).partitions_def is None:
        return None
    mapping = graph.get_partition_mapping(node.key, parent_key)
    name = type(mapping).__name__
    told = pb.PartitionMappingSnapshot(kind=_KINDS.get(name, name), is_default=chosen is None)
    if told.kind == "time_window":
        told.start_offset, told.end_offset = mapping.start_offset, mapping.end_offset
        told.allows_missing_upstream = mapping.allow_nonexistent_upstream_partitions
    told.description = mapping.description or ""
    return told
