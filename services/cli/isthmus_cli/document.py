"""Messages of the contract as JSON documents with stable field names.

Field names are the contract's own. Every field is there, so that a script need not ask; of a `oneof`, only the one that
is set. Enums lose their prefix ("SUCCEEDED"), times are RFC 3339 in UTC, 64-bit integers are numbers, bytes are text.
"""

import json
import math
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus_client.words.value import enum_text

from isthmus_cli.terminal import json_text

__all__ = ["Document", "dump", "enum_text", "to_document"]

Document = dict[str, Any]

#: descriptor.proto's number for it.
_LABEL_REPEATED = 3


def to_document(message: Message) -> Document:
    """Build the JSON document of a message."""
    document: Document = {}
    for field in cast("list[FieldDescriptor]", message.DESCRIPTOR.fields):
        if field.has_presence and not message.HasField(field.name):
            if field.containing_oneof is None or field.containing_oneof.name.startswith("_"):
                document[field.name] = None
            continue
        document[field.name] = _field(field, value=getattr(message, field.name))
    if message.DESCRIPTOR.full_name == "isthmus.v1.Event":
        document["kind"] = message.WhichOneof("body")
    return document


def dump(document: Document | list[Document], *, is_line: bool = False) -> str:
    """Write a document: indented, or on one line for streams."""
    return json_text(json.dumps(document, ensure_ascii=False, indent=None if is_line else 2))


def _field(field: FieldDescriptor, *, value: Any) -> Any:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        value_field = entry.fields_by_name["value"]
        return {str(key): _single(value_field, value=value[key]) for key in sorted(value)}
    if _is_repeated(field):
        return [_single(field, value=item) for item in value]
    return _single(field, value=value)


def _is_repeated(field: FieldDescriptor) -> bool:
    # `label` is gone in protobuf 7, `is_repeated` is not there in 4.
    is_repeated = getattr(field, "is_repeated", None)
    return bool(is_repeated) if is_repeated is not None else getattr(field, "label", 0) == _LABEL_REPEATED


def _moment(value: Timestamp) -> str:
    try:
        return value.ToJsonString()
    except ValueError:
        # No calendar has it: the seconds since 1970, as they came.
        return f"{value.seconds}.{value.nanos:09d}"


def _single(field: FieldDescriptor, *, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return _moment(value)
    if isinstance(value, Message):
        return to_document(value)
    if field.enum_type is not None:
        return enum_text(value, descriptor=field.enum_type)
    if isinstance(value, float) and not math.isfinite(value):  # JSON knows no such number.
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value
