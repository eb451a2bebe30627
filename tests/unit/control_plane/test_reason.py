"""Why a condition came to what it came to, in words."""

import zlib
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_control_plane.automation import decisions, reason
from isthmus_control_plane.automation.decisions import DecidedAt

Condition = tuple[str, int, str]

#: "updated and not (failed or in progress)", with a name for the whole.
EAGER: list[Condition] = [
    ("and", 2, "eager"),
    ("identity", 0, "updated"),
    ("not", 1, ""),
    ("or", 2, ""),
    ("identity", 0, "failed"),
    ("identity", 0, "in progress"),
]


def words(conditions: list[Condition], counts: list[int]) -> str:
    told = [
        pb.ConditionNode(operator=operator, children=children, name=name) for operator, children, name in conditions
    ]
    whole = reason.tree(told, [pb.NodeDecision(true_count=count) for count in counts])
    assert whole is not None
    return reason.reason(whole)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 1, 1, 0, 0, 0], "executed, since “updated” and not “or”"),
        ([0, 0, 1, 0, 0, 0], "not executed: “updated” is not so"),
        ([0, 1, 0, 1, 0, 1], "not executed: “or” is so"),
        ([0, 1, 1, 0, 0, 0], "not executed: no partition is all of “updated” and not “or”"),
    ],
)
def test_what_a_condition_is_made_of_says_why(counts: list[int], expected: str) -> None:
    assert words(EAGER, counts) == expected


def test_what_its_author_named_is_said_by_that_name() -> None:
    told = [
        pb.ConditionNode(operator="or", children=2),
        pb.ConditionNode(operator="and", children=1, label="nightly"),
        pb.ConditionNode(operator="identity", name="cron"),
        pb.ConditionNode(operator="identity", name="missing"),
    ]
    whole = reason.tree(told, [pb.NodeDecision(true_count=count) for count in (1, 1, 1, 0)])
    assert whole is not None
    assert reason.reason(whole) == "executed, since “nightly”"


def test_of_several_that_are_not_so_each_is_named() -> None:
    conditions: list[Condition] = [("or", 2, ""), ("identity", 0, "a"), ("not", 1, ""), ("identity", 0, "b")]
    assert words(conditions, [0, 0, 0, 1]) == "not executed: neither “a” nor not “b”"


@given(st.lists(st.tuples(st.sampled_from(["and", "or", "not", "identity"]), st.integers(0, 3), st.booleans())))
def test_any_list_of_nodes_is_told_or_refused(nodes: list[tuple[str, int, bool]]) -> None:
    told = [pb.ConditionNode(operator=operator, children=children, name="x") for operator, children, _ in nodes]
    whole = reason.tree(told, [pb.NodeDecision(true_count=int(is_true)) for _, _, is_true in nodes])
    if whole is not None:
        assert len(reason.flat(whole)) == len(nodes)
        assert reason.reason(whole).startswith(("executed", "not executed"))


# ------------------------------------------------------------------------------------------------------------ decisions

TREE = pb.ConditionTree(nodes=[pb.ConditionNode(name="missing")])
HASH = sha256(TREE.SerializeToString(deterministic=True)).hexdigest()
BY = DecidedAt(deployment="default", location="etl", sensor="s", tick_id=7, at=datetime(2030, 1, 1, tzinfo=UTC))


def compressed(*told: pb.AutomationDecision) -> bytes:
    return zlib.compress(pb.AutomationDecisions(decisions=told, trees=[TREE]).SerializeToString())


def test_decisions_are_read_and_written_once_by_their_tree() -> None:
    one = pb.AutomationDecision(asset=pb.AssetKey(path=["a"]), tree_sha256=HASH, requested=pb.PartitionPart(count=3))
    found = decisions.read(compressed(one))
    (row,) = decisions.rows(found, by=BY)
    assert (row.asset, row.requested, row.tree_sha256, row.tick_id) == ('["a"]', 3, HASH, 7)
    assert found.trees == ((HASH, TREE.SerializeToString(deterministic=True)),)


@pytest.mark.parametrize(
    "body",
    [b"", b"no zlib", zlib.compress(b"\xff\xff"), zlib.compress(b"x" * (decisions.MAX_BYTES + 1)), compressed()[:-3]],
)
def test_what_cannot_be_read_decides_nothing(body: bytes) -> None:
    assert decisions.read(body) == decisions.Decided()


def test_a_decision_without_its_tree_or_asset_is_left_out() -> None:
    nowhere = pb.AutomationDecision(asset=pb.AssetKey(path=["a"]), tree_sha256="0" * 64)
    nothing = pb.AutomationDecision(tree_sha256=HASH)
    assert decisions.read(compressed(nowhere, nothing)).decisions == ()
