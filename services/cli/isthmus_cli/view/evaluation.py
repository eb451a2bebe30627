"""Decisions of automation conditions, each with its reason."""

from collections.abc import Iterable, Iterator

from isthmus.v1.control_plane_pb2 import AssetEvaluation, EvaluatedNode
from isthmus.v1.telemetry_pb2 import PartitionPart

from isthmus_cli.view.paint import Paint
from isthmus_cli.view.text import age_text, count_text

_INDENT = "  "


def evaluation_lines(evaluations: Iterable[AssetEvaluation], *, is_whole: bool, paint: Paint) -> list[str]:
    """Tell decisions, newest first; with `is_whole` each part of the condition as well."""
    lines = []
    for it in evaluations:
        said = paint.green(it.reason) if it.requested.count else it.reason
        partitions = _partitions(it.requested)
        lines.append(f"{age_text(it.at):11}{said}{f'  {partitions}' if partitions else ''}")
        lines.append(paint.dim(f"{'':11}sensor {it.sensor} of {it.location}, tick {it.tick_id}"))
        lines += _nodes(it.nodes, paint=paint) if is_whole else ()
    return lines


def _nodes(nodes: Iterable[EvaluatedNode], *, paint: Paint) -> Iterator[str]:
    for node in nodes:
        is_true = node.decision.true_count > 0
        mark = paint.green("yes") if is_true else paint.dim("no ")
        it = node.condition
        text = it.label or it.name or it.description or it.operator
        partitions = _partitions(node.decision.true_part)
        yield f"{'':11}{mark} {_INDENT * node.depth}{text}{f'  {partitions}' if partitions else ''}"


def _partitions(part: PartitionPart) -> str:
    """Name partitions; nothing for what has none."""
    if not part.ranges:
        return ""
    ranges = [it.first if it.first == it.last else f"{it.first} to {it.last}" for it in part.ranges]
    return f"{count_text(part.count, 'partition')}: {', '.join(ranges)}{', …' if part.is_cut else ''}"
