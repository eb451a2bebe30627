"""Numbers from outside."""

import math

import pytest
from isthmus_lifecycle.number import clamped


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.5, 2.5),
        (0.0, 0.0),
        (-0.1, 0.0),
        (10.1, 10.0),
        (2.0**64 - 1, 10.0),
        (math.inf, 10.0),
        (-math.inf, 0.0),
        (math.nan, 0.0),
    ],
)
def test_what_comes_from_outside_is_within_its_bounds(*, value: float, expected: float) -> None:
    assert clamped(value, least=0.0, most=10.0) == expected
