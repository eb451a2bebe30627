"""Which runs of a backfill may be made that waited for others."""

import pytest
from isthmus.v1.control_plane_pb2 import BackfillGroup, BackfillWait
from isthmus_control_plane.backfills.waiting import LOST, released
from isthmus_store.backfills import Move
from isthmus_store.record.backfill import Course
from isthmus_store.state import BackfillOutcome

SAME, ALL, EARLIER = BackfillWait.FOR_SAME_PARTITIONS, BackfillWait.FOR_ALL, BackfillWait.FOR_EARLIER
BLOCKED, WAITING, UNDER_WAY = BackfillOutcome.BLOCKED, BackfillOutcome.WAITING, BackfillOutcome.UNDER_WAY
GOOD, BAD, OFF = BackfillOutcome.SUCCEEDED, BackfillOutcome.FAILED, BackfillOutcome.CANCELED


def runs(group: int, *outcomes: BackfillOutcome, size: int = 1, after: int = 0) -> list[Course]:
    """Runs of a group, which take so many partitions each."""
    return [
        Course(number=after + index + 1, group=group, begin=index * size, partitions=size, outcome=outcome)
        for index, outcome in enumerate(outcomes)
    ]


def groups(*waits: dict[int, BackfillWait.For.ValueType]) -> list[BackfillGroup]:
    return [BackfillGroup(waits=[BackfillWait(group=other, what=what) for other, what in it.items()]) for it in waits]


def moved(*pairs: tuple[int, BackfillOutcome]) -> list[Move]:
    return [
        Move(number=number, outcome=outcome, run_id=None, problem=LOST if outcome is OFF else "")
        for number, outcome in pairs
    ]


@pytest.mark.parametrize(
    ("above", "waiting", "found"),
    [
        ((GOOD, UNDER_WAY, BAD), SAME, [(4, WAITING), (6, OFF)]),
        ((GOOD, GOOD, UNDER_WAY), ALL, []),
        ((GOOD, GOOD, GOOD), ALL, [(4, WAITING), (5, WAITING), (6, WAITING)]),
        ((GOOD, BAD, UNDER_WAY), ALL, [(4, OFF), (5, OFF), (6, OFF)]),
        ((GOOD, OFF, WAITING), SAME, [(4, WAITING), (5, OFF)]),
    ],
)
def test_a_run_waits_for_what_it_needs(
    above: tuple[BackfillOutcome, ...],
    waiting: BackfillWait.For.ValueType,
    found: list[tuple[int, BackfillOutcome]],
) -> None:
    known = [*runs(0, *above), *runs(1, BLOCKED, BLOCKED, BLOCKED, after=3)]
    assert released(known, groups=groups({}, {0: waiting}), moves=[]) == moved(*found)


def test_what_ended_at_this_moment_counts() -> None:
    known = [*runs(0, UNDER_WAY), *runs(1, BLOCKED, after=1)]
    ended = Move(number=1, outcome=GOOD, run_id="a")
    assert released(known, groups=groups({}, {0: SAME}), moves=[ended]) == moved((2, WAITING))


def test_runs_of_other_sizes_wait_for_all_that_they_have_in_common() -> None:
    # Two runs of three partitions each, and above them six of one.
    known = [
        *runs(0, GOOD, GOOD, GOOD, GOOD, UNDER_WAY, GOOD),
        *runs(1, BLOCKED, BLOCKED, size=3, after=6),
    ]
    assert released(known, groups=groups({}, {0: SAME}), moves=[]) == moved((7, WAITING))
    # And the other way round.
    known = [*runs(0, GOOD, UNDER_WAY, size=3), *runs(1, *[BLOCKED] * 6, after=2)]
    found = released(known, groups=groups({}, {0: SAME}), moves=[])
    assert found == moved((3, WAITING), (4, WAITING), (5, WAITING))


def test_partitions_that_are_not_made_above_are_not_waited_for() -> None:
    known = [*runs(0, UNDER_WAY), *runs(1, BLOCKED, BLOCKED, after=1)]
    assert released(known, groups=groups({}, {0: SAME}), moves=[]) == moved((3, WAITING))
    assert released(runs(1, BLOCKED), groups=groups({}, {0: ALL}), moves=[]) == moved((1, WAITING))


@pytest.mark.parametrize(
    ("outcomes", "found"),
    [
        ((BLOCKED, BLOCKED), [(1, WAITING)]),
        ((GOOD, BLOCKED, BLOCKED), [(2, WAITING)]),
        ((GOOD, UNDER_WAY, BLOCKED), []),
        ((BAD, BLOCKED, BLOCKED), [(2, OFF), (3, OFF)]),
    ],
)
def test_what_needs_its_earlier_partitions_goes_in_their_order(
    outcomes: tuple[BackfillOutcome, ...], found: list[tuple[int, BackfillOutcome]]
) -> None:
    assert released(runs(0, *outcomes), groups=groups({0: EARLIER}), moves=[]) == moved(*found)


def test_all_that_follows_a_failure_is_given_up_at_once() -> None:
    known = [*runs(0, BAD), *runs(1, BLOCKED, after=1), *runs(2, BLOCKED, after=2)]
    assert released(known, groups=groups({}, {0: ALL}, {1: ALL}), moves=[]) == moved((2, OFF), (3, OFF))
