"""What numbers a message may name: every decoder of this room brings a message within these bounds before anybody reads it.

A protobuf double may be NaN or infinite, a uint64 may be 2^64-1, and a Timestamp may lie beyond every calendar. Whoever
calculates with such a number is ended by it. So each number is brought into a range in which Python's dates, the databases'
integers and a sum of two still work. The ranges follow from the descriptors: a field that is added is bounded, too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.telemetry_pb2 import MetadataValue
from isthmus_lifecycle.number import clamped

#: The largest 64-bit integer that a message may name: half of what the databases' bigint holds.
MAX_COUNT: Final = 2**62
#: The largest double: as a moment it is in the year 9892, as an amount it is more than there is of anything.
MAX_DOUBLE: Final = 250_000_000_000.0
#: The longest duration, seconds (ten years): a double whose name ends with ``_s``.
MAX_DURATION_S: Final = 315_360_000.0
#: The first and the last moment of a Timestamp, seconds since 1970: in the years 5 and 9892.
MIN_MOMENT_S, MAX_MOMENT_S = -62_000_000_000, 250_000_000_000

#: What is carried as user code said it, and calculated with by nobody.
_AS_SAID: Final = frozenset({MetadataValue.DESCRIPTOR.full_name})
_TIMESTAMP: Final = Timestamp.DESCRIPTOR.full_name
_MAX_NANOS: Final = 999_999_999

_UNSIGNED: Final = frozenset({FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64})
_SIGNED: Final = frozenset({FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_SFIXED64})
_REAL: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})


def tame(message: Message) -> None:
    """Bring every number of a message, and of the messages in it, within bounds. What is within stays as it is."""
    # The type's stubs name two classes of descriptors, of which this is one.
    rule = _rule_of(cast("Descriptor", message.DESCRIPTOR))
    if rule is not None:
        _apply(rule, message)


def tamers_of(descriptor: Descriptor, *, oneof: str) -> Mapping[str, Callable[[Any], None]]:
    """Return what tames messages of a type by the field of a oneof that is set; a field without numbers is left out.

    For who reads thousands of messages in a second, and knows already which field is set.
    """
    rule = _rule_of(descriptor)
    return {} if rule is None else dict(rule.choices).get(oneof, {})


@dataclass(frozen=True, slots=True)
class _Range:
    field: str
    low: float
    high: float
    is_repeated: bool


@dataclass(slots=True)
class _Rule:
    """What has to be looked at in messages of one type. It may refer to itself: messages nest."""

    ranges: tuple[_Range, ...] = ()
    moments: tuple[str, ...] = ()
    single: tuple[tuple[str, "_Rule"], ...] = ()
    repeated: tuple[tuple[str, "_Rule"], ...] = ()
    mapped: tuple[tuple[str, "_Rule"], ...] = ()
    #: Of each oneof, by the field that is set; an event has some fifty, of which one is looked at.
    choices: tuple[tuple[str, Mapping[str, Callable[[Any], None]]], ...] = ()


_RULES: Final[dict[str, _Rule | None]] = {}


def _rule_of(descriptor: Descriptor) -> _Rule | None:
    """Return the rule of a type; None when no number can be found in it."""
    name = descriptor.full_name
    if name not in _RULES:
        if not _has_numbers(descriptor, set()):
            _RULES[name] = None
        else:
            rule = _RULES[name] = _Rule()
            _fill(rule, descriptor)
    return _RULES[name]


def _has_numbers(descriptor: Descriptor, seen: set[str]) -> bool:
    if descriptor.full_name in seen or descriptor.full_name in _AS_SAID:
        return False
    seen.add(descriptor.full_name)
    if descriptor.full_name == _TIMESTAMP:
        return True
    return any(
        field.type in _UNSIGNED | _SIGNED | _REAL
        or (field.message_type is not None and _has_numbers(field.message_type, seen))
        for field in descriptor.fields
    )


def _fill(rule: _Rule, descriptor: Descriptor) -> None:
    if descriptor.full_name == _TIMESTAMP:
        # One of a list, or of a map's values.
        seconds = _Range("seconds", MIN_MOMENT_S, MAX_MOMENT_S, is_repeated=False)
        rule.ranges = (seconds, _Range("nanos", 0, _MAX_NANOS, is_repeated=False))
        return
    plain = [field for field in descriptor.fields if not _is_chosen(field)]
    rule.ranges = tuple(found for field in plain if (found := _range_of(field)) is not None)
    rule.moments = tuple(field.name for field in plain if _is_moment(field) and not _is_repeated(field))
    nested = [(field, inner) for field in plain if (inner := _nested(field)) is not None]
    rule.mapped = tuple((field.name, inner) for field, inner in nested if _is_map(field))
    rule.repeated = tuple((it.name, inner) for it, inner in nested if _is_repeated(it) and not _is_map(it))
    rule.single = tuple((field.name, inner) for field, inner in nested if not _is_repeated(field))
    rule.choices = tuple(
        (oneof.name, choices)
        for oneof in descriptor.oneofs
        if (choices := {field.name: tamer for field in oneof.fields if (tamer := _choice(field)) is not None})
    )


def _is_chosen(field: FieldDescriptor) -> bool:
    return field.containing_oneof is not None


def _is_repeated(field: FieldDescriptor) -> bool:
    # The older protobuf of a user's image has the label alone, and the newest warns of it.
    known = getattr(field, "is_repeated", None)
    return bool(getattr(field, "label", None) == FieldDescriptor.LABEL_REPEATED if known is None else known)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _is_moment(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name == _TIMESTAMP


def _nested(field: FieldDescriptor) -> _Rule | None:
    """Return the rule of what a field holds, or of the values of a map."""
    inner = field.message_type
    if inner is None or (_is_moment(field) and not _is_repeated(field)):
        return None
    if _is_map(field):
        value = inner.fields_by_name["value"].message_type
        return None if value is None or value.full_name in _AS_SAID else _rule_of(value)
    return None if inner.full_name in _AS_SAID else _rule_of(inner)


def _range_of(field: FieldDescriptor) -> _Range | None:
    if field.type in _UNSIGNED:
        return _Range(field.name, 0, MAX_COUNT, _is_repeated(field))
    if field.type in _SIGNED:
        return _Range(field.name, -MAX_COUNT, MAX_COUNT, _is_repeated(field))
    if field.type in _REAL:
        high = MAX_DURATION_S if field.name.endswith("_s") else MAX_DOUBLE
        return _Range(field.name, 0.0, high, _is_repeated(field))
    return None


def _choice(field: FieldDescriptor) -> Callable[[Any], None] | None:
    """Return what tames a message by the one of its fields that is set."""
    name = field.name
    found = _range_of(field)
    if found is not None:
        return lambda message: _narrow(message, found)
    if _is_moment(field):
        return lambda message: _date(getattr(message, name))
    rule = _nested(field)
    return None if rule is None else lambda message: _apply(rule, getattr(message, name))


def _apply(rule: _Rule, message: Any) -> None:
    for each in rule.ranges:
        _narrow(message, each)
    for name in rule.moments:
        # Of a moment that is not set, the reading is 0, and nothing is written.
        _date(getattr(message, name))
    for oneof, choices in rule.choices:
        tamer = choices.get(message.WhichOneof(oneof))
        if tamer is not None:
            tamer(message)
    _apply_below(rule, message)


def _apply_below(rule: _Rule, message: Any) -> None:
    for name, inner in rule.single:
        if message.HasField(name):
            _apply(inner, getattr(message, name))
    for name, inner in rule.repeated:
        for item in getattr(message, name):
            _apply(inner, item)
    for name, inner in rule.mapped:
        for item in getattr(message, name).values():
            _apply(inner, item)


def _narrow(message: Any, bound: _Range) -> None:
    value = getattr(message, bound.field)
    if bound.is_repeated:
        if not all(bound.low <= item <= bound.high for item in value):
            value[:] = [clamped(item, least=bound.low, most=bound.high) for item in value]
    elif not bound.low <= value <= bound.high:
        setattr(message, bound.field, clamped(value, least=bound.low, most=bound.high))


def _date(moment: Timestamp) -> None:
    if not MIN_MOMENT_S <= moment.seconds <= MAX_MOMENT_S:
        moment.seconds = int(clamped(moment.seconds, least=MIN_MOMENT_S, most=MAX_MOMENT_S))
    if not 0 <= moment.nanos <= _MAX_NANOS:
        moment.nanos = int(clamped(moment.nanos, least=0, most=_MAX_NANOS))
