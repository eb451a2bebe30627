"""Numbers from outside, made fit for arithmetic where they are decoded."""


def clamped(value: float, *, least: float, most: float) -> float:
    """Return the number, or the nearer of the bounds; what is no number at all (NaN) becomes the least.

    So sums with what this returns are numbers again, also where infinities came.
    """
    if least <= value <= most:
        return value
    return most if value > most else least
