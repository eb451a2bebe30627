"""Looks over a serialized message without parsing it: what would take too much memory is refused before it does."""

from typing import Final

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
#: The fewest bytes that an entry of a repeated message takes: its tag and its length.
_SMALLEST_ENTRY: Final = 2


def has_more_than(limit: int, *, field: int, body: bytes) -> bool:
    """Tell whether a message's repeated field has more entries than the limit. Bytes that are no message have none."""
    if len(body) <= limit * _SMALLEST_ENTRY:
        return False
    count, position, end = 0, 0, len(body)
    try:
        while position < end:
            tag, position = _varint(body, position)
            kind = tag & 7
            if kind == _BYTES:
                size, position = _varint(body, position)
                position += size
                count += tag >> 3 == field
                if count > limit:
                    return True
            elif kind == _VARINT:
                _, position = _varint(body, position)
            else:
                position += _SIZES[kind]
    except (IndexError, KeyError):
        return False
    return False


def _varint(body: bytes, position: int) -> tuple[int, int]:
    byte = body[position]
    if byte < 0x80:  # noqa: PLR2004 (the bit that says that more follows)
        return byte, position + 1
    value, shift = byte & 0x7F, 7
    while True:
        position += 1
        byte = body[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return value, position + 1
        shift += 7
