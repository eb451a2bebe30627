"""The contract: services, messages and enumerations as the descriptors have them, with the comments of the .proto files."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from docs_pages.markdown import code, escaped, table

PROTOS = Path(__file__).parents[2] / "protos"
#: Each file, and what it is about.
FILES = {
    "control_plane": "The API of the control plane, for internal tooling.",
    "instruction": "What the control plane sends to agents.",
    "telemetry": "What leaves a user's environment.",
    "code_server": "What an agent asks of a code server.",
    "instance": "What user code asks of its Dagster instance, and the answers.",
}
_OPENING = re.compile(r"(?:message|enum|service|oneof) (\w+) \{(\})?")
_MEMBER = re.compile(r"(?:rpc (\w+)\(|(?:(?:repeated|optional) )?[\w.<>, ]*?\b(\w+) = \d+)")


def file_of(name: str) -> FileDescriptor:
    """Return the descriptor of one of the files."""
    descriptor: FileDescriptor = import_module(f"isthmus.v1.{name}_pb2").DESCRIPTOR
    return descriptor


def comments_of(text: str) -> Mapping[str, str]:
    """Return the comment above each name of a .proto file, by the name within the package, as in `Event.run`.

    A comment that heads a group of fields within a `oneof` belongs to the first of them as little as to the others: it is
    left out there.
    """
    found: dict[str, str] = {}
    inside: list[tuple[str, bool]] = []
    said: list[str] = []
    for line in map(str.strip, text.splitlines()):
        opening, member = _OPENING.match(line), _MEMBER.match(line)
        if line.startswith("//"):
            said.append(line.removeprefix("//").strip())
            continue
        names = [name for name, is_oneof in inside if not is_oneof]
        if opening:
            found[".".join([*names, opening[1]])] = _sentence(said)
            if not opening[2]:
                inside.append((opening[1], line.startswith("oneof")))
        elif member and inside and inside[-1] != ("body", True):
            found[".".join([*names, member[1] or member[2]])] = _sentence(said)
        if line == "}":
            inside.pop()
        said = []
    return found


def comments_in(name: str) -> Mapping[str, str]:
    """Return the comments of one of the files."""
    return comments_of((PROTOS / f"isthmus/v1/{name}.proto").read_text(encoding="utf-8"))


def contract_page(name: str) -> str:
    """Return the page of one file."""
    return "\n".join(_page(name))


def _sentence(lines: list[str]) -> str:
    return " ".join(line for line in lines if not line.startswith("---")).strip()


def _page(name: str) -> Iterator[str]:
    path = f"isthmus/v1/{name}.proto"
    comments = comments_in(name)
    file = file_of(name)
    yield f"# {path}\n\n{FILES[name]} The file itself: [{path}](../../protos/{path}).\n"
    for service in file.services_by_name.values():
        yield from _service(service, comments)
    for message in file.message_types_by_name.values():
        yield from _message(message, comments)
    for enumeration in file.enum_types_by_name.values():
        yield from _enum(enumeration, comments)


def _service(service: ServiceDescriptor, comments: Mapping[str, str]) -> Iterator[str]:
    yield f"## Service {service.name} {{ #{anchor(service)} }}\n\n{comments.get(service.name, '')}\n"
    # Which sides stream is told by the file's own form alone, in every protobuf that is supported.
    raw = FileDescriptorProto.FromString(service.file.serialized_pb)
    streams = {method.name: method for one in raw.service for method in one.method if one.name == service.name}
    rows = []
    for method in service.methods:
        sent, got = streams[method.name].client_streaming, streams[method.name].server_streaming
        rows.append(
            (
                code(method.name),
                f"{'stream of ' * sent}{_link(method.input_type, service.file)}",
                f"{'stream of ' * got}{_link(method.output_type, service.file)}",
                escaped(comments.get(f"{service.name}.{method.name}", "")),
            )
        )
    yield table(["call", "takes", "gives", "meaning"], rows)


def _message(message: Descriptor, comments: Mapping[str, str]) -> Iterator[str]:
    name = _name(message)
    yield f"## {name} {{ #{anchor(message)} }}\n\n{comments.get(name, '')}\n"
    rows = []
    for field in message.fields:
        one_of = field.containing_oneof
        group = f" (one of `{one_of.name}`)" if one_of is not None and not one_of.name.startswith("_") else ""
        meaning = escaped(comments.get(f"{name}.{field.name}", "") or (_alternative(field, comments) if group else ""))
        rows.append((code(field.name), str(field.number), _type_of(field) + group, meaning))
    if rows:
        yield table(["field", "number", "type", "meaning"], rows)
    for inner in message.nested_types:
        if not inner.GetOptions().map_entry:
            yield from _message(inner, comments)
    for enumeration in message.enum_types:
        yield from _enum(enumeration, comments)


def _alternative(field: FieldDescriptor, comments: Mapping[str, str]) -> str:
    """Return what an alternative of a `oneof` means: its message says it."""
    return comments.get(field.message_type.name, "") if field.message_type is not None else ""


def _enum(enumeration: EnumDescriptor, comments: Mapping[str, str]) -> Iterator[str]:
    name = _name(enumeration)
    yield f"## {name} {{ #{anchor(enumeration)} }}\n\n{comments.get(name, '')}\n"
    rows = [
        (code(value.name), str(value.number), escaped(comments.get(f"{name}.{value.name}", "")))
        for value in enumeration.values
    ]
    yield table(["value", "number", "meaning"], rows)


def _type_of(field: FieldDescriptor) -> str:
    message, origin = field.message_type, _owner(field).file
    if message is not None and message.GetOptions().map_entry:
        key, value = message.fields_by_name["key"], message.fields_by_name["value"]
        return f"map of {_type_of(key)} to {_type_of(value)}"
    repeated = "list of " if is_repeated(field) else ""
    if message is not None:
        return repeated + _link(message, origin)
    if field.enum_type is not None:
        return repeated + _link(field.enum_type, origin)
    return repeated + code(_scalar(field))


def is_repeated(field: FieldDescriptor) -> bool:
    """Tell whether a field is a list, or a map."""
    return _proto_of(field).label == FieldDescriptorProto.LABEL_REPEATED


def _scalar(field: FieldDescriptor) -> str:
    return FieldDescriptorProto.Type.Name(_proto_of(field).type).removeprefix("TYPE_").lower()


def _proto_of(field: FieldDescriptor) -> FieldDescriptorProto:
    raw = DescriptorProto()
    _owner(field).CopyToProto(raw)
    return next(one for one in raw.field if one.name == field.name)


def _owner(field: FieldDescriptor) -> Descriptor:
    owner = field.containing_type
    assert owner is not None
    return owner


def _link(kind: Any, origin: FileDescriptor) -> str:
    if kind.file.package != "isthmus.v1":
        return code(kind.full_name)
    page = "" if kind.file.name == origin.name else f"{Path(kind.file.name).stem}.md"
    return f"[{_name(kind)}]({page}#{anchor(kind)})"


def _name(kind: Any) -> str:
    return str(kind.full_name).removeprefix("isthmus.v1.")


def anchor(kind: Any) -> str:
    """Return the anchor of a message, enumeration or service on its page."""
    return _name(kind).lower().replace(".", "-")
