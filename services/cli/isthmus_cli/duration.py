"""Durations as a person writes them, as in 30s or 2h."""

import re
from typing import Final

from isthmus_cli.errors import InputError

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def seconds_of(text: str) -> float:
    """Read a duration of the command line.

    Raises:
        InputError: It is none.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no time.", remedy="Write it as in 30s, 15m, 2h or 1d.") from error


def parse_duration(text: str) -> float:
    """Read a number with a unit, as seconds.

    Raises:
        ValueError: It is none; says what to write.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a time such as 30s, 15m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2]]
