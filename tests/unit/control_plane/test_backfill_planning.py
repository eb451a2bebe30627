"""Which runs a backfill is to make."""

import pytest
from isthmus.v1.control_plane_pb2 import CreateBackfillRequest
from isthmus.v1.telemetry_pb2 import PartitionRange
from isthmus_control_plane.backfills.planning import chosen, planned

KEYS = ["a", "b", "c", "d", "e"]


def asked(*keys: str, ranges: tuple[tuple[str, str], ...] = (), is_all: bool = False) -> CreateBackfillRequest:
    return CreateBackfillRequest(
        partition_keys=keys, ranges=[PartitionRange(first=first, last=last) for first, last in ranges], is_all=is_all
    )


@pytest.mark.parametrize(
    ("request_", "places"),
    [
        (asked(is_all=True), [0, 1, 2, 3, 4]),
        (asked("d", "b"), [1, 3]),
        (asked("c", ranges=(("b", "d"), ("d", "d"))), [1, 2, 3]),
    ],
)
def test_partitions_are_chosen_once_each_in_their_order(request_: CreateBackfillRequest, places: list[int]) -> None:
    assert chosen(request_, keys=KEYS) == (places, [])


@pytest.mark.parametrize(
    ("request_", "field", "part"),
    [
        (asked("a", "x"), "partition_keys[1]", "they are 'a' to 'e'"),
        (asked(ranges=(("a", "z"),)), "ranges[0].last", "unknown partition 'z'"),
        (asked(ranges=(("d", "b"),)), "ranges[0]", "write them the other way round"),
    ],
)
def test_what_is_not_there_is_named(request_: CreateBackfillRequest, field: str, part: str) -> None:
    (fault,) = chosen(request_, keys=KEYS)[1]
    assert fault.field == field
    assert part in fault.description


def test_all_of_nothing_is_refused() -> None:
    (fault,) = chosen(asked(is_all=True), keys=[])[1]
    assert fault.field == "is_all"


@pytest.mark.parametrize(
    ("most", "runs"),
    [
        (1, [("a", "a", 1), ("b", "b", 1), ("d", "d", 1), ("e", "e", 1)]),
        (0, [("a", "b", 2), ("d", "e", 2)]),
        (3, [("a", "b", 2), ("d", "e", 2)]),
    ],
)
def test_a_run_takes_partitions_that_lie_side_by_side(most: int, runs: list[tuple[str, str, int]]) -> None:
    found = planned([0, 1, 3, 4], keys=KEYS, most=most)
    assert [(it.first, it.last, it.partitions) for it in found] == runs
    assert [it.number for it in found] == list(range(1, len(runs) + 1))


def test_no_run_takes_more_than_it_may() -> None:
    found = planned(range(5), keys=KEYS, most=2)
    assert [(it.first, it.last) for it in found] == [("a", "b"), ("c", "d"), ("e", "e")]
