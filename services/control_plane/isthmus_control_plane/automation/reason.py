"""Why a condition came to what it came to, in words. Pure.

A condition is a tree: its nodes are told each before its children, and each with the number of partitions that it is true for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from isthmus.v1.telemetry_pb2 import ConditionNode, NodeDecision

#: Parts of a condition that one sentence names.
_MOST_PARTS: Final = 6


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a condition, and what it came to."""

    condition: ConditionNode
    decision: NodeDecision
    depth: int
    children: "tuple[Node, ...]"

    @property
    def is_true(self) -> bool:
        """Whether it is true for anything."""
        return self.decision.true_count > 0

    @property
    def text(self) -> str:
        """What it is called: by its author, by its name, or as it describes itself."""
        it = self.condition
        return it.label or it.name or it.description or it.operator


def tree(conditions: Sequence[ConditionNode], decisions: Sequence[NodeDecision]) -> Node | None:
    """Put a condition and what its nodes came to together; None where they do not fit each other."""
    if not conditions or len(conditions) != len(decisions):
        return None
    # From the last to the first: the children of each are made before it.
    made: list[Node] = []
    for condition, decision in zip(reversed(conditions), reversed(decisions), strict=True):
        if condition.children > len(made):
            return None
        children = [made.pop() for _ in range(condition.children)]
        made.append(Node(condition, decision, 0, tuple(children)))
    return _placed(made[0]) if len(made) == 1 else None


def _placed(node: Node, *, depth: int = 0) -> Node:
    return Node(node.condition, node.decision, depth, tuple(_placed(it, depth=depth + 1) for it in node.children))


def flat(node: Node) -> list[Node]:
    """Return all nodes, each before its children."""
    return [node, *(one for child in node.children for one in flat(child))]


def reason(node: Node) -> str:
    """Say why something is to be executed, or why not."""
    if node.is_true:
        return f"executed, since {_joined(_made_true(node), 'and')}"
    return f"not executed: {_joined(_held_back(node), 'and')}"


def _made_true(node: Node) -> list[str]:
    """Name what makes a node true that is."""
    match node.condition.operator if node.children else "":
        case "and":
            return [part for child in node.children for part in _made_true_below(child)]
        case "or":
            return [part for child in node.children if child.is_true for part in _made_true_below(child)]
        case "not":
            return [f"not {_quoted(node.children[0])}"]
    return [_quoted(node)]


def _made_true_below(node: Node) -> list[str]:
    # What its author gave a name is said by that name.
    return [_quoted(node)] if node.condition.label else _made_true(node)


def _held_back(node: Node) -> list[str]:
    """Name what keeps a node from being true."""
    match node.condition.operator if node.children else "":
        case "and":
            # What comes after the first that is true for nothing was not asked about anything.
            blocking = next((child for child in node.children if not child.is_true), None)
            if blocking is None:
                return [f"no partition is all of {_joined([_quoted(it) for it in node.children], 'and')}"]
            return _held_back(blocking)
        case "or":
            return [f"neither {_joined([_quoted(it) for it in node.children], 'nor')}"]
        case "not":
            return [f"{_quoted(node.children[0])} is so"]
    return [f"{_quoted(node)} is not so"]


def _quoted(node: Node) -> str:
    if node.condition.operator == "not" and node.children and not node.condition.label:
        return f"not {_quoted(node.children[0])}"
    return f"“{node.text}”"


def _joined(parts: Sequence[str], word: str) -> str:
    unique = list(dict.fromkeys(parts))
    if len(unique) > _MOST_PARTS:
        unique = [*unique[: _MOST_PARTS - 1], f"{len(unique) - _MOST_PARTS + 1} more"]
    if len(unique) == 1:
        return unique[0]
    return f"{', '.join(unique[:-1])} {word} {unique[-1]}"
