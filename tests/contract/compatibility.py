"""Whether a contract can stand in for an earlier one: what was sent, stored or called before means the same afterwards.

Fields, values, methods and messages may be added. What is there keeps its number, its name, its type and its place; what
goes leaves its number and its name reserved, for good.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

#: The package whose contract is kept; what it imports has keepers of its own.
PACKAGE = "isthmus.v1"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_N = TypeVar("_N", bound=_Named)


def breaks(before: FileDescriptorSet, after: FileDescriptorSet) -> list[str]:
    """List what of the contract before is not kept afterwards; each line names the place and what happened to it."""
    old, new = _files(before), _files(after)
    messages, enums = _messages(new), _enums(new)
    services = _by_name(service for file in new for service in file.service)
    found: list[str] = []
    for name, message in _messages(old).items():
        found += _message_breaks(name, message, messages.get(name))
    for name, enum in _enums(old).items():
        found += _enum_breaks(name, enum, enums.get(name))
    for service in (service for file in old for service in file.service):
        found += _service_breaks(service, services.get(service.name))
    return found


def _files(contract: FileDescriptorSet) -> list[FileDescriptorProto]:
    return [file for file in contract.file if file.package == PACKAGE]


def _by_name(things: Iterable[_N]) -> dict[str, _N]:
    return {thing.name: thing for thing in things}


def _messages(files: Iterable[FileDescriptorProto]) -> dict[str, DescriptorProto]:
    """Every message by its full name, those within messages too."""

    def nested(prefix: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
        for message in messages:
            yield f"{prefix}{message.name}", message
            yield from nested(f"{prefix}{message.name}.", message.nested_type)

    return dict(pair for file in files for pair in nested("", file.message_type))


def _enums(files: Sequence[FileDescriptorProto]) -> dict[str, EnumDescriptorProto]:
    found = {enum.name: enum for file in files for enum in file.enum_type}
    for name, message in _messages(files).items():
        found |= {f"{name}.{enum.name}": enum for enum in message.enum_type}
    return found


def _message_breaks(name: str, before: DescriptorProto, after: DescriptorProto | None) -> Iterator[str]:
    if after is None:
        yield f"message {name} is gone"
        return
    if before.options.map_entry != after.options.map_entry:
        yield f"message {name} became, or is no more, the entry of a map"
    fields, names = {field.number: field for field in after.field}, _by_name(after.field)
    reserved = [range(one.start, one.end) for one in after.reserved_range]
    for field in before.field:
        place = f"field {name}.{field.name} = {field.number}"
        if (same := fields.get(field.number)) is not None:
            yield from _field_breaks(place, _field_facts(field, of=before), _field_facts(same, of=after))
        else:
            yield from _gone(place, names=names, is_reserved=_covers(reserved, field.number), kept=after.reserved_name)
    for one in before.reserved_range:
        for number in sorted(set(range(one.start, min(one.end, one.start + 10_000))) & set(fields)):
            yield f"number {number} of message {name} was reserved and is used again"
    for word in set(before.reserved_name) & set(names):
        yield f"name {word} of message {name} was reserved and is used again"


def _field_facts(field: FieldDescriptorProto, *, of: DescriptorProto) -> dict[str, str]:
    is_in_oneof = field.HasField("oneof_index") and not field.proto3_optional
    return {
        "name": field.name,
        "type": FieldDescriptorProto.Type.Name(field.type),
        "label": FieldDescriptorProto.Label.Name(field.label),
        "message or enum": field.type_name,
        "oneof": of.oneof_decl[field.oneof_index].name if is_in_oneof else "",
        "presence": str(field.proto3_optional),
        "packing": str(field.options.packed) if field.options.HasField("packed") else "",
    }


def _field_breaks(place: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for fact, value in before.items():
        if after[fact] != value:
            yield f"{place}: its {fact} was {value or 'none'} and is {after[fact] or 'none'}"


def _gone(
    place: str, *, names: Mapping[str, FieldDescriptorProto], is_reserved: bool, kept: Sequence[str]
) -> Iterator[str]:
    name = place.split(" = ", maxsplit=1)[0].rpartition(".")[2]
    if name in names:
        yield f"{place}: its number is now {names[name].number}"
    elif not is_reserved or name not in kept:
        yield f"{place} is gone, and its number and name are not both reserved"


def _covers(ranges: Iterable[range], number: int) -> bool:
    return any(number in one for one in ranges)


def _enum_breaks(name: str, before: EnumDescriptorProto, after: EnumDescriptorProto | None) -> Iterator[str]:
    if after is None:
        yield f"enum {name} is gone"
        return
    values = {(value.name, value.number) for value in after.value}
    names = _by_name(after.value)
    # The end of an enum's range is part of it, other than that of a message's.
    reserved = [range(one.start, one.end + 1) for one in after.reserved_range]
    for value in before.value:
        if (value.name, value.number) in values:
            continue
        place = f"value {name}.{value.name} = {value.number}"
        if value.name in names:
            yield f"{place}: its number is now {names[value.name].number}"
        elif any(number == value.number for _, number in values):
            yield f"{place}: its number has another name"
        elif not _covers(reserved, value.number) or value.name not in after.reserved_name:
            yield f"{place} is gone, and its number and name are not both reserved"
    for one in before.reserved_range:
        for value in after.value:
            if one.start <= value.number <= one.end:
                yield f"number {value.number} of enum {name} was reserved and is used again"


def _service_breaks(before: ServiceDescriptorProto, after: ServiceDescriptorProto | None) -> Iterator[str]:
    if after is None:
        yield f"service {before.name} is gone"
        return
    methods = _by_name(after.method)
    for method in before.method:
        same = methods.get(method.name)
        if same is None:
            yield f"method {before.name}.{method.name} is gone"
        elif _method_facts(method) != _method_facts(same):
            yield f"method {before.name}.{method.name} was {_method_facts(method)} and is {_method_facts(same)}"


def _method_facts(method: MethodDescriptorProto) -> str:
    request = f"{'stream ' if method.client_streaming else ''}{method.input_type}"
    return f"{request} to {'stream ' if method.server_streaming else ''}{method.output_type}"
