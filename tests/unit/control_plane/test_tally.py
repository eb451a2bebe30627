"""Launches that are counted before the store shows them."""

import pytest
from isthmus_control_plane.key import AgentKey
from isthmus_control_plane.tally import LaunchTally

ALPHA, BETA = AgentKey("default", "alpha"), AgentKey("default", "beta")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_launch_counts_while_it_is_written_and_for_whoever_read_before_it_was() -> None:
    clock = Clock()
    tally = LaunchTally(monotonic=clock)
    with tally.giving(ALPHA, ALPHA, BETA):
        assert tally.since(clock.now) == {ALPHA: 2, BETA: 1}
        clock.now = 101.0
        with tally.giving(BETA):
            assert tally.since(clock.now) == {ALPHA: 2, BETA: 2}
    clock.now = 102.0
    assert tally.since(100.5) == {ALPHA: 2, BETA: 2}
    # Whoever begins to read now counts the rows.
    assert tally.since(101.5) == {}


def test_a_launch_that_failed_is_no_more_than_one_that_was_written() -> None:
    clock = Clock()
    tally = LaunchTally(monotonic=clock)
    with pytest.raises(OSError, match="away"), tally.giving(ALPHA):
        raise OSError("away")
    clock.now = 100.1
    assert tally.since(100.05) == {}


def test_what_was_given_long_ago_is_forgotten() -> None:
    clock = Clock()
    tally = LaunchTally(monotonic=clock)
    for _ in range(1_000):
        clock.now += 1.0
        with tally.giving(ALPHA):
            pass
    assert tally.since(0.0)[ALPHA] < 20
