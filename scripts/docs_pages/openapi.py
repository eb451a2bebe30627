"""The API over HTTP as an OpenAPI document, made from the descriptors and the comments of the .proto files."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from docs_pages.contract import FILES, comments_in, file_of, is_repeated

_PACKAGE: Final = "isthmus.v1."
#: What JSON makes of the scalars: 64 bits do not fit into a number of JavaScript's.
_SCALARS: Final[dict[int, dict[str, str]]] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
}
#: What JSON makes of the messages that every language knows.
_WELL_KNOWN: Final[dict[str, dict[str, str]]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "description": "Seconds, as in 1.5s."},
}
_ERROR: Final = {
    "type": "object",
    "description": "Why a call failed.",
    "properties": {
        "code": {
            "type": "string",
            "description": "The kind, as gRPC has it: invalid_argument, not_found, unavailable.",
        },
        "message": {"type": "string", "description": "One sentence for people."},
        "details": {
            "type": "array",
            "description": "What tools can read: violations of fields, what is missing, what to do.",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "value": {"type": "string", "format": "byte"},
                    "debug": {"type": "object"},
                },
            },
        },
    },
}


def document(*, version: str) -> dict[str, Any]:
    """Return the document of the whole API."""
    service = file_of("control_plane").services_by_name["ControlPlane"]
    raw = FileDescriptorProto.FromString(service.file.serialized_pb)
    streaming = {one.name: one.server_streaming for it in raw.service if it.name == service.name for one in it.method}
    needed: dict[str, Any] = {}
    for method in service.methods:
        _need(method.input_type, needed)
        _need(method.output_type, needed)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Isthmus", "version": version, "description": FILES["control_plane"]},
        "security": [{"token": []}],
        "paths": {
            f"/{service.full_name}/{method.name}": {"post": _operation(method, is_stream=streaming[method.name])}
            for method in service.methods
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**{name: needed[name] for name in sorted(needed)}, "Error": _ERROR},
        },
    }


def _operation(method: Any, *, is_stream: bool) -> dict[str, Any]:
    kind = "application/connect+json" if is_stream else "application/json"
    summary = _comments("control_plane").get(f"ControlPlane.{method.name}", "")
    operation: dict[str, Any] = {
        "operationId": method.name,
        "summary": summary,
        "requestBody": {"required": True, "content": {kind: {"schema": _ref(method.input_type)}}},
        "responses": {
            "200": {"description": "The answer.", "content": {kind: {"schema": _ref(method.output_type)}}},
            "default": {
                "description": "The call failed.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if is_stream:
        operation["description"] = (
            "A stream: each message in an envelope of five bytes, flags and length; the last one has flags 2 and tells "
            "of an error, if there was one. The status is 200 in any case."
        )
        del operation["responses"]["default"]
    return operation


def _need(message: Descriptor, found: dict[str, Any]) -> None:
    """Describe a message, and all that it holds."""
    name = _name(message)
    if name in found or message.full_name in _WELL_KNOWN:
        return
    found[name] = {}
    found[name] = _object(message)
    for field in message.fields:
        if field.enum_type is not None:
            found.setdefault(_name(field.enum_type), _enum(field.enum_type))
        elif field.message_type is not None:
            for kind in _held(field.message_type):
                if isinstance(kind, Descriptor):
                    _need(kind, found)
                else:
                    found.setdefault(_name(kind), _enum(kind))


def _held(message: Descriptor) -> Iterator[Descriptor | EnumDescriptor]:
    """Yield the message itself or, of a map's entry, what its values are."""
    if not message.GetOptions().map_entry:
        yield message
        return
    value = message.fields_by_name["value"]
    if value.message_type is not None:
        yield value.message_type
    elif value.enum_type is not None:
        yield value.enum_type


def _object(message: Descriptor) -> dict[str, Any]:
    comments = _comments_of(message)
    properties = {}
    for field in message.fields:
        schema = _schema(field)
        said = [comments.get(f"{_name(message)}.{field.name}", "")]
        one_of = field.containing_oneof
        if one_of is not None and not one_of.name.startswith("_"):
            said.append(f"One of {one_of.name}.")
        if text := " ".join(filter(None, said)):
            # Beside a reference OpenAPI 3.1 takes a description, too.
            schema = {**schema, "description": text}
        properties[field.json_name] = schema
    return {"type": "object", "description": comments.get(_name(message), ""), "properties": properties}


def _enum(enumeration: EnumDescriptor) -> dict[str, Any]:
    comments = _comments_of(enumeration)
    return {
        "type": "string",
        "description": comments.get(_name(enumeration), ""),
        "enum": [value.name for value in enumeration.values],
    }


def _schema(field: FieldDescriptor) -> dict[str, Any]:
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _of_one(message.fields_by_name["value"])}
    return {"type": "array", "items": _of_one(field)} if is_repeated(field) else _of_one(field)


def _of_one(field: FieldDescriptor) -> dict[str, Any]:
    if field.message_type is not None:
        return _ref(field.message_type)
    if field.enum_type is not None:
        return {"$ref": f"#/components/schemas/{_name(field.enum_type)}"}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "format": "byte"}
    return dict(_SCALARS[field.cpp_type])


def _ref(message: Descriptor) -> dict[str, Any]:
    known = _WELL_KNOWN.get(message.full_name)
    return dict(known) if known is not None else {"$ref": f"#/components/schemas/{_name(message)}"}


def _name(kind: Any) -> str:
    return str(kind.full_name).removeprefix(_PACKAGE)


def _comments_of(kind: Any) -> Mapping[str, str]:
    return (
        _comments(kind.file.name.rpartition("/")[2].removesuffix(".proto")) if kind.file.package == "isthmus.v1" else {}
    )


@cache
def _comments(name: str) -> Mapping[str, str]:
    return comments_in(name)
