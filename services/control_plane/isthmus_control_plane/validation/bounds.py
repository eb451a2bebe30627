"""What any message from outside must keep, whatever its fields mean: numbers, moments, and how much there is.

It follows from the descriptors, so that a field that is added is bounded, too. Each field's own rules come after it.
"""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus_broker.bounds import MAX_COUNT, MAX_MOMENT_S, MIN_MOMENT_S

from isthmus_control_plane.errors import Violation

#: Entries that a list or a map may have. Above what each field's own rules allow.
MAX_ENTRIES: Final = 100_000
#: Characters of one text: a whole run config, and nothing larger.
MAX_CHARS: Final = 4 * 1024 * 1024
#: Faults that are told at once.
_MOST_TOLD: Final = 100
_TIMESTAMP: Final = Timestamp.DESCRIPTOR.full_name
_MAX_NANOS: Final = 999_999_999


def violations(message: Message) -> list[Violation]:
    """List the faults of a message's numbers, moments and sizes, each with the path of its field."""
    return list(islice(_faults(message, path=""), _MOST_TOLD))


def _faults(message: Message, *, path: str) -> Iterator[Violation]:
    # Only what is set is listed, and what is not set is 0 or empty.
    for field, value in message.ListFields():
        yield from _field_faults(field, value, path=f"{path}{field.name}")


def _field_faults(field: FieldDescriptor, value: Any, *, path: str) -> Iterator[Violation]:
    if not _is_repeated(field):
        yield from _value_faults(value, path=path)
        return
    if len(value) > MAX_ENTRIES:
        yield Violation(path, f"must have at most {MAX_ENTRIES:,} entries; has {len(value):,}")
        return
    if _is_map(field):
        for key, entry in value.items():
            yield from _value_faults(entry, path=f"{path}.{str(key)[:40]}")
        return
    for index, entry in enumerate(value):
        yield from _value_faults(entry, path=f"{path}[{index}]")


def _value_faults(value: Any, *, path: str) -> Iterator[Violation]:
    match value:
        case bool():
            return
        case int():
            if not -MAX_COUNT <= value <= MAX_COUNT:
                yield Violation(path, f"must be at most {MAX_COUNT:,} either way; got {value:,}")
        case float():
            if not math.isfinite(value):
                yield Violation(path, f"must be a number; got {value}")
        case str() | bytes():
            if len(value) > MAX_CHARS:
                yield Violation(path, f"must have at most {MAX_CHARS:,} characters; has {len(value):,}")
        case _ if cast("Descriptor", value.DESCRIPTOR).full_name == _TIMESTAMP:
            if not (MIN_MOMENT_S <= value.seconds <= MAX_MOMENT_S and 0 <= value.nanos <= _MAX_NANOS):
                yield Violation(path, "is no time that a calendar knows")
        case _:
            yield from _faults(value, path=f"{path}.")


def _is_repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
