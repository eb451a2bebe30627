"""What an evaluation of automation decided, as the contract tells it: each condition's tree once, and what each node came to."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from dagster import AssetKey
from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.values.metadata import asset_key

#: By the names of Dagster's classes: older versions do not tell otherwise.
_OPERATORS: Final = {"AndAutomationCondition": "and", "OrAutomationCondition": "or", "NotAutomationCondition": "not"}
#: Ranges of partitions that one node tells: what is beyond is counted.
_MOST_RANGES: Final = 20
#: Bytes of decisions that one tick tells, compressed. Beyond that, those that ask for nothing are left out, or all.
_MOST_BYTES: Final = 4 * 1024 * 1024
#: The longest word that a condition has about itself, characters.
_MOST_TEXT: Final = 500


def decisions_zlib(evaluations: Sequence[Any], *, graph: Any) -> bytes:
    """Return the decisions of one tick, compressed; nothing where nothing changed."""
    if not evaluations:
        return b""
    whole = _compressed(evaluations, graph=graph)
    if len(whole) <= _MOST_BYTES:
        return whole
    asked = _compressed([it for it in evaluations if it.true_subset.size], graph=graph)
    return asked if len(asked) <= _MOST_BYTES else b""


def _compressed(evaluations: Iterable[Any], *, graph: Any) -> bytes:
    told = pb.AutomationDecisions()
    trees: dict[str, pb.ConditionTree] = {}
    for evaluation in evaluations:
        # Dagster's conditions of jobs: their key names neither asset nor check.
        if not hasattr(evaluation.key, "path") and not hasattr(evaluation.key, "asset_key"):
            continue
        nodes = list(_nodes(evaluation))
        tree = pb.ConditionTree(nodes=map(_condition, nodes))
        sha256 = hashlib.sha256(tree.SerializeToString(deterministic=True)).hexdigest()
        trees[sha256] = tree
        told.decisions.append(_decision(evaluation, nodes, sha256=sha256, graph=graph))
    told.trees.extend(trees.values())
    return zlib.compress(told.SerializeToString())


def _nodes(evaluation: Any) -> Iterator[Any]:
    """Go through a tree, each node before its children."""
    yield evaluation
    for child in evaluation.child_evaluations:
        yield from _nodes(child)


def _condition(evaluation: Any) -> pb.ConditionNode:
    snapshot = evaluation.condition_snapshot
    return pb.ConditionNode(
        children=len(evaluation.child_evaluations),
        operator=_OPERATORS.get(snapshot.class_name, "identity"),
        label=_short(getattr(snapshot, "label", None)),
        name=_short(getattr(snapshot, "name", None)),
        description=_short(snapshot.description),
    )


def _short(text: str | None) -> str:
    return (text or "")[:_MOST_TEXT]


def _decision(evaluation: Any, nodes: Iterable[Any], *, sha256: str, graph: Any) -> pb.AutomationDecision:
    key = evaluation.key
    is_asset = isinstance(key, AssetKey)
    partitions = graph.get(key).partitions_def if graph.has(key) else None
    return pb.AutomationDecision(
        asset=asset_key(key if is_asset else key.asset_key),
        check_name="" if is_asset else key.name,
        tree_sha256=sha256,
        nodes=[_node(it, partitions) for it in nodes],
        requested=_part(evaluation.true_subset, partitions),
    )


def _node(evaluation: Any, partitions: Any) -> pb.NodeDecision:
    part = _part(evaluation.true_subset, partitions)
    told = pb.NodeDecision(true_count=part.count)
    # All partitions are not counted, but told by a word of their own.
    if (candidates := getattr(evaluation.candidate_subset, "size", None)) is not None:
        told.candidate_count = candidates
    if part.ranges:
        told.true_part.CopyFrom(part)
    return told


def _part(subset: Any, partitions: Any) -> pb.PartitionPart:
    part = pb.PartitionPart(count=subset.size)
    if not part.count or isinstance(subset.value, bool):
        return part
    # What the user's own partitions say of themselves may raise.
    with suppress(Exception):
        found = subset.value.get_partition_key_ranges(partitions)
        part.is_cut = len(found) > _MOST_RANGES
        part.ranges.extend(pb.PartitionRange(first=it.start, last=it.end) for it in found[:_MOST_RANGES])
    return part
