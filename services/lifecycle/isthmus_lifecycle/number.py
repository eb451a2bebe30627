"""Numbers from outside, made fit for arithmetic where they are decoded."""

import math


def clamped(value: float, *, least: float, most: float, otherwise: float) -> float:
    """Return a number within bounds; what is no number at all (NaN) becomes `otherwise`.

    Infinities become the nearer bound, so that sums with what this returns are numbers again.
    """
    if math.isnan(value):
        return otherwise
    return max(least, min(most, value))
