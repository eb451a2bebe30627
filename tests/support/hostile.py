"""Messages as somebody would make them who means harm: made from the contract's descriptors, so that none is forgotten.

Odd numbers in every field that holds one, odd strings, empty and repeated choices, deep nesting, and bytes that were cut,
changed or blown up on the way. The same seed makes the same messages.
"""

import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final, TypeVar

import zstandard
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)
T = TypeVar("T")

REALS: Final = (math.nan, math.inf, -math.inf, -1.0, -0.0, 0.5, 5e-324, 1e18, 1.8e308, -1e308)
SIGNED: Final = (0, 1, -1, 1000, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63), 253_402_300_800, 1_790_000_000_000)
UNSIGNED: Final = (0, 1, 1000, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
SMALL: Final = (0, 1, -1, 7, 1000, 2**31 - 1, -(2**31))
SMALL_UNSIGNED: Final = (0, 1, 7, 1000, 2**31, 2**32 - 1)
STRINGS: Final = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "../../etc/passwd",
    "/",
    "a" * 5000,
    "\u202e\u0000\uffff",
    "\U0001f9a5" * 40,
    "\x1b]0;title\x07",
    "%s%n{}{0.__class__}",
    "'; DROP TABLE runs; --",
    "NaN",
    "1e999",
    "9" * 5000,
    "[" * 3000,
    '{"a": NaN}',
    "2026-13-99T99:99:99Z",
)
BYTES: Final = (b"", b"\x00", b"\xff" * 64, bytes(5000), b"\x0a\xff\xff\xff\xff\x0f")

_NUMBERS: Final[dict[int, Sequence[float]]] = {
    FieldDescriptor.TYPE_DOUBLE: REALS,
    FieldDescriptor.TYPE_FLOAT: REALS,
    FieldDescriptor.TYPE_INT64: SIGNED,
    FieldDescriptor.TYPE_SINT64: SIGNED,
    FieldDescriptor.TYPE_SFIXED64: SIGNED,
    FieldDescriptor.TYPE_UINT64: UNSIGNED,
    FieldDescriptor.TYPE_FIXED64: UNSIGNED,
    FieldDescriptor.TYPE_INT32: SMALL,
    FieldDescriptor.TYPE_SINT32: SMALL,
    FieldDescriptor.TYPE_SFIXED32: SMALL,
    FieldDescriptor.TYPE_ENUM: SMALL,
    FieldDescriptor.TYPE_UINT32: SMALL_UNSIGNED,
    FieldDescriptor.TYPE_FIXED32: SMALL_UNSIGNED,
}
_DEEPEST: Final = 7
_BOMB_BYTES: Final = 200 * 1024**2


class Hostile:
    """Makes messages of any type, and bytes that are almost one."""

    def __init__(self, seed: int, *, words: Sequence[str] = ()) -> None:
        """Mix `words` among the strings: names that the reader knows, so that messages get past its first checks."""
        self._random = Random(seed)
        self._strings = (*STRINGS, *words, *words, *words)
        self._bomb = zstandard.compress(bytes(_BOMB_BYTES))

    def message(self, kind: type[M]) -> M:
        """Return a message with odd values in a random part of its fields."""
        made = kind()
        self._fill(made, depth=0)
        return made

    def body(self, message: Message) -> tuple[bytes, str | None]:
        """Return the message's bytes as they arrive, mostly whole, and their content encoding."""
        body = message.SerializeToString()
        match self._random.randrange(10):
            case 0:
                return zstandard.compress(body), "zstd"
            case 1:
                return self._mutated(zstandard.compress(body)), "zstd"
            case 2 if self._random.randrange(20) == 0:
                return self._bomb, "zstd"
            case 3:
                return body, self._random.choice(("", "gzip", "zstd", "identity"))
            case 4 | 5 | 6:
                return self._spoilt(body), None
            case _:
                return body, None

    def _spoilt(self, body: bytes) -> bytes:
        random = self._random
        match random.randrange(6):
            case 0:
                return body[: random.randrange(len(body) + 1)]
            case 1:
                return random.randbytes(random.randrange(200))
            case 2:
                return body + body
            case 3:
                # Groups, which nobody uses, and lengths beyond the end.
                return body + random.choice((b"\x0b", b"\x0c", b"\x12\xff\xff\xff\xff\x7f", b"\xff" * 11))
            case 4:
                return nested(random.choice((2, 30, 99, 101, 3000)), tag=random.choice((0x0A, 0x12, 0x22)))
            case _:
                return self._mutated(body)

    def text(self) -> str:
        """Return an odd string."""
        return self._random.choice(self._strings)

    def number(self, field: FieldDescriptor) -> float:
        """Return an odd number that the field can hold."""
        return self._random.choice(_NUMBERS[field.type])

    def chance(self, share: float) -> bool:
        """Say yes so often."""
        return self._random.random() < share

    def one_of(self, choices: Sequence[T]) -> T:
        """Choose one."""
        return self._random.choice(choices)

    def _fill(self, message: Any, *, depth: int) -> None:
        random = self._random
        for oneof in message.DESCRIPTOR.oneofs:
            if random.random() < 0.85:
                self._set(message, random.choice(oneof.fields), depth=depth)
        for field in message.DESCRIPTOR.fields:
            if field.containing_oneof is None and random.random() < 0.6:
                self._set(message, field, depth=depth)

    def _set(self, message: Any, field: FieldDescriptor, *, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._set_map(getattr(message, field.name), field.message_type, depth=depth)
        elif field.is_repeated:
            values = getattr(message, field.name)
            for _ in range(self._random.choice((0, 1, 1, 2, 5))):
                if field.message_type is None:
                    values.append(self._scalar(field))
                elif depth < _DEEPEST:
                    self._fill(values.add(), depth=depth + 1)
        elif field.message_type is None:
            setattr(message, field.name, self._scalar(field))
        elif depth < _DEEPEST:
            inner = getattr(message, field.name)
            inner.SetInParent()
            self._fill(inner, depth=depth + 1)

    def _set_map(self, values: Any, entry: Descriptor, *, depth: int) -> None:
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for _ in range(self._random.choice((0, 1, 3))):
            if value.message_type is None:
                values[self._scalar(key)] = self._scalar(value)
            elif depth < _DEEPEST:
                self._fill(values[self._scalar(key)], depth=depth + 1)

    def _scalar(self, field: FieldDescriptor) -> Any:
        if field.type == FieldDescriptor.TYPE_STRING:
            return self._random.choice(self._strings)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return self._random.choice(BYTES)
        if field.type == FieldDescriptor.TYPE_BOOL:
            return self._random.random() < 0.5
        return self.number(field)

    def _mutated(self, body: bytes) -> bytes:
        changed = bytearray(body)
        for _ in range(self._random.randrange(1, 5)):
            if changed:
                changed[self._random.randrange(len(changed))] = self._random.randrange(256)
        return bytes(changed)


def nested(depth: int, *, tag: int) -> bytes:
    """Return a message whose field is a message whose field is one, and so on."""
    body = b""
    for _ in range(depth):
        body = bytes([tag]) + _varint(len(body)) + body
    return body


def every_number(kind: type[M]) -> Iterator[tuple[str, M]]:
    """Return a message for each odd number in each numeric field below a type, and the field's path."""
    for path in _paths(kind.DESCRIPTOR, ()):  # type: ignore[arg-type]
        for number in _NUMBERS[path[-1].type]:
            message = kind()
            _place(message, path, number)
            yield ".".join(field.name for field in path) + f"={number}", message


def _paths(descriptor: Descriptor, above: tuple[FieldDescriptor, ...]) -> Iterator[tuple[FieldDescriptor, ...]]:
    for field in descriptor.fields:
        here = (*above, field)
        if field.type in _NUMBERS:
            yield here
        elif field.message_type is not None and all(field.message_type is not it.message_type for it in above):
            yield from _paths(field.message_type, here)


def _place(message: Any, path: tuple[FieldDescriptor, ...], number: float) -> None:
    field, *rest = path
    if not rest:
        if field.is_repeated:
            getattr(message, field.name).append(number)
        else:
            setattr(message, field.name, number)
        return
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if rest[0].name == "value":
            values = getattr(message, field.name)
            if len(rest) == 1:
                values["k"] = number
            else:
                _place(values["k"], tuple(rest[1:]), number)
        return
    _place(
        getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name), tuple(rest), number
    )


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
