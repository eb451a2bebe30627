"""The form of the intake's records: pure, and each proves by itself that it is whole.

A record is its payload's length, a checksum, its kind and the number of an instruction, and then the payload: the instruction
where it is taken, nothing where it is forgotten.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_HEAD: Final = struct.Struct(">IIBQ")
#: Everything behind the checksum is checked.
_CHECKED_FROM: Final = 8


class Kind(IntEnum):
    """What a record says of its number."""

    TAKEN = 1
    FORGOTTEN = 2


@dataclass(frozen=True)
class Record:
    """One record, and where in its file it lies."""

    kind: Kind
    number: int
    payload: bytes
    start: int
    end: int


@dataclass(frozen=True)
class Damage:
    """Bytes that have the bounds of a record and are none."""

    start: int
    end: int


def pack(kind: Kind, number: int, payload: bytes = b"") -> bytes:
    """Return a record as it is written."""
    body = _HEAD.pack(len(payload), 0, kind, number)[_CHECKED_FROM:] + payload
    return struct.pack(">II", len(payload), zlib.crc32(body)) + body


def unpack(data: bytes) -> Iterator[Record | Damage]:
    """Give what the bytes of a file hold, up to the first record that is not there to its end."""
    start = 0
    while start + _HEAD.size <= len(data):
        length, checksum, kind, number = _HEAD.unpack_from(data, start)
        end = start + _HEAD.size + length
        if end > len(data):
            return
        if zlib.crc32(memoryview(data)[start + _CHECKED_FROM : end]) == checksum and kind in tuple(Kind):
            yield Record(Kind(kind), number, data[start + _HEAD.size : end], start, end)
        else:
            yield Damage(start, end)
        start = end
