"""A Dagster job as the contract describes it: its ops with their handles, its config, its assets."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.described.config_schema import config_of_type
from isthmus_code_server.definitions.dagster.described.partitions import partitions_snapshot
from isthmus_code_server.definitions.dagster.values.metadata import asset_key

if TYPE_CHECKING:
    from dagster import GraphDefinition, JobDefinition
    from dagster._core.definitions.dependency import Node, NodeHandle

_POOL_TAG = "dagster/concurrency_key"
#: What Dagster calls the job that materializes assets picked by hand.
IMPLICIT_ASSET_JOB_PREFIX = "__ASSET_JOB"

_EXECUTOR_NAMES: Mapping[str, str] = {"multi_or_in_process_executor": "multiprocess"}

#: The ops that feed each input of a graph, by the input's name.
_Feeds = Mapping[str, frozenset[str]]


def job_snapshot(job: "JobDefinition", *, repository_name: str) -> pb.JobSnapshot:
    """Describe a job of a repository."""
    ops = sorted((_op_snapshot(placed, job) for placed in _ops(job.graph, None, {})), key=lambda op: op.name)
    roots = [op for op in ops if not op.upstream]
    root_pools = Counter(op.pool for op in roots if op.pool)
    return pb.JobSnapshot(
        name=job.name,
        description=job.description or "",
        tags=dict(job.run_tags),
        ops=ops,
        config=config_of_type(job.run_config_schema.config_type, name="run_config"),
        executor=_EXECUTOR_NAMES.get(job.executor_def.name, job.executor_def.name),
        partitions=partitions_snapshot(job.partitions_def),
        assets=[asset_key(key) for key in sorted(job.asset_layer.executable_asset_keys)],
        is_implicit_asset_job=job.name.startswith(IMPLICIT_ASSET_JOB_PREFIX),
        root_pools=[pb.PoolCount(pool=pool, count=count) for pool, count in sorted(root_pools.items())],
        pools=sorted({op.pool for op in ops if op.pool}),
        has_unconstrained_root=any(not op.pool for op in roots),
        has_partition_config=job.partitioned_config is not None,
        repository_name=repository_name,
    )


@dataclass(frozen=True, kw_only=True)
class _PlacedOp:
    """An op where it stands in its job."""

    handle: "NodeHandle"
    node: Any
    upstream: frozenset[str]


def _op_snapshot(placed: _PlacedOp, job: "JobDefinition") -> pb.OpSnapshot:
    definition = placed.node.definition
    tags = {**definition.tags, **placed.node.tags}
    return pb.OpSnapshot(
        name=_text(placed.handle),
        definition_name=definition.name,
        description=definition.description or "",
        upstream=sorted(placed.upstream),
        tags=tags,
        has_retry_policy=job.get_retry_policy_for_handle(placed.handle) is not None,
        required_resources=sorted(definition.required_resource_keys),
        is_dynamic=any(output.is_dynamic for output in definition.output_defs),
        # The tag is how a pool was named before there were pools.
        pool=definition.pool or tags.get(_POOL_TAG, ""),
    )


def _ops(graph: "GraphDefinition", parent: "NodeHandle | None", feeds: _Feeds) -> Iterator[_PlacedOp]:
    """Give every op of a graph and of the graphs in it.

    Args:
        graph: The graph.
        parent: Where the graph stands.
        feeds: The ops that feed the graph's own inputs.
    """
    from dagster import GraphDefinition
    from dagster._core.definitions.dependency import NodeHandle

    for node in graph.nodes:
        handle = NodeHandle(node.name, parent)
        node_feeds = _node_feeds(graph, node, parent, feeds)
        if isinstance(node.definition, GraphDefinition):
            yield from _ops(node.definition, handle, node_feeds)
        else:
            upstream = frozenset[str]().union(*node_feeds.values())
            yield _PlacedOp(handle=handle, node=node, upstream=upstream)


def _node_feeds(
    graph: "GraphDefinition", node: "Node", parent: "NodeHandle | None", feeds: _Feeds
) -> dict[str, frozenset[str]]:
    """Tell which ops feed each input of a node."""
    found: dict[str, set[str]] = {}
    upstream = graph.dependency_structure.input_to_upstream_outputs_for_node(node.name)
    for node_input, outputs in upstream.items():
        for output in outputs:
            found.setdefault(node_input.input_name, set()).add(_origin(output, parent))
    for mapping in graph.input_mappings:
        if mapping.maps_to.node_name == node.name:
            outer = feeds.get(mapping.graph_input_name, frozenset())
            found.setdefault(mapping.maps_to.input_name, set()).update(outer)
    return {name: frozenset(names) for name, names in found.items()}


def _origin(output: Any, parent: "NodeHandle | None") -> str:
    """Name the op behind an output, however many graphs it passes through."""
    from dagster._core.definitions.dependency import NodeHandle

    handle = NodeHandle(output.node.name, parent)
    _, origin = output.node.definition.resolve_output_to_origin(output.output_name, handle)
    return _text(origin if origin is not None else handle)


def _text(handle: "NodeHandle") -> str:
    return ".".join(handle.path)
