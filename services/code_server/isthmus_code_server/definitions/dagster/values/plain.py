"""Plain data as JSON text. What is no plain data leaves as the name of its type: a value's own text may be a secret."""

import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from isthmus_code_server.definitions.dagster.values.encodable import encodable

#: Documents nested deeper than this end in a note.
MAX_DEPTH: Final = 60
#: A document has so many values at the most; what follows is a note: it would be cut out of an event anyway.
MAX_VALUES: Final = 200_000
#: Integers beyond this many bits (some 30,000 digits) are told by their size alone.
MAX_INT_BITS: Final = 100_000
#: The digits of one step where a long integer is written: Python writes so many in one go, whatever its limit.
_STEP_DIGITS: Final = 600
_MAPPINGS: Final = frozenset({dict, OrderedDict, defaultdict})
_SEQUENCES: Final = frozenset({list, tuple})


def json_text(value: object) -> str:
    """Write JSON, by the standard, that does not depend on the order in which mappings were filled."""
    return json.dumps(_Plainer().plain(value, depth=0), sort_keys=True, allow_nan=False)


def type_name(value: object) -> str:
    """Name the type of a value that must not leave itself."""
    return type(value).__name__


def decimal_text(value: int) -> str:
    """Write an integer in decimal, also beyond the digits that Python's own limit allows."""
    if value.bit_length() > MAX_INT_BITS:
        return f"<an integer of {value.bit_length()} bits>"
    sign, rest, parts = "-" if value < 0 else "", abs(value), list[str]()
    while rest:
        rest, part = divmod(rest, 10**_STEP_DIGITS)
        parts.append(f"{part:0{_STEP_DIGITS}d}")
    return sign + ("".join(reversed(parts)).lstrip("0") or "0")


def decimal_value(text: str) -> int:
    """Read what `decimal_text` wrote.

    Raises:
        ValueError: It is no integer.
    """
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal():
        raise ValueError
    value = 0
    for start in range(0, len(digits), _STEP_DIGITS):
        step = digits[start : start + _STEP_DIGITS]
        value = value * 10 ** len(step) + int(step)
    return -value if text.startswith("-") else value


class _Plainer:
    """Turns one document into what the JSON encoder takes."""

    def __init__(self) -> None:
        self._left = MAX_VALUES
        self._above: set[int] = set()

    def plain(self, value: Any, *, depth: int) -> Any:
        self._left -= 1
        kind = type(value)
        if kind in _MAPPINGS or kind in _SEQUENCES:
            return self._container(value, depth=depth)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return _plain_int(int(value))
        if isinstance(value, float):
            # JSON has no word for these; a text is what every reader of JSON takes.
            return float(value) if math.isfinite(value) else str(float(value))
        return encodable(value) if kind is str else f"<{type_name(value)}>"

    def _container(self, value: Any, *, depth: int) -> Any:
        if id(value) in self._above:
            return "<a circle>"
        if depth >= MAX_DEPTH:
            return "<nested too deeply>"
        self._above.add(id(value))
        try:
            if type(value) in _MAPPINGS:
                return self._mapping(value, depth=depth + 1)
            return self._sequence(value, depth=depth + 1)
        finally:
            self._above.discard(id(value))

    def _mapping(self, value: Mapping[Any, Any], *, depth: int) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for key, item in value.items():
            if self._left <= 0:
                told["…"] = f"<{len(value) - len(told)} more>"
                break
            told[_key(key)] = self.plain(item, depth=depth)
        return told

    def _sequence(self, value: Sequence[Any], *, depth: int) -> list[Any]:
        told: list[Any] = []
        for item in value:
            if self._left <= 0:
                told.append(f"<{len(value) - len(told)} more>")
                break
            told.append(self.plain(item, depth=depth))
        return told


def _plain_int(value: int) -> int | str:
    """Leave a number what it is, unless the encoder would refuse to write it."""
    return value if value.bit_length() <= 2000 else decimal_text(value)  # noqa: PLR2004  # 603 digits: below any limit


def _key(key: object) -> str:
    """Write a key as the JSON encoder does; one of another type leaves as the name of that."""
    if type(key) is str:
        return encodable(key)
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    if isinstance(key, int):
        return decimal_text(int(key))
    return str(float(key)) if isinstance(key, float) else f"<{type_name(key)}>"
