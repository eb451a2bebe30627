"""Where an event holds what may be cut: texts, lists and maps. What names a thing is none of it.

Used in forked children: imports nothing that starts threads or event loops.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

#: What has no more bytes is not looked into: most of what a large event has many of is small.
SMALL_BYTES: Final = 4 * 1024
#: A name is told up to this length, bytes.
LONGEST_NAME: Final = 1024

#: The fields whose texts may be cut, by the name of their message.
CONTENT: Final[Mapping[str, frozenset[str]]] = {
    "Event": frozenset({"message"}),
    "RunStarted": frozenset({"tags"}),
    "Failure": frozenset({"error_class", "message", "stack", "description", "label"}),
    "StepInput": frozenset({"type_check_description"}),
    "StepOutput": frozenset({"type_check_description"}),
    "AssetMaterialized": frozenset({"description", "tags"}),
    "AssetObserved": frozenset({"description", "tags"}),
    "AssetFailed": frozenset({"reason"}),
    "AssetCheckEvaluated": frozenset({"description"}),
    "ExpectationResult": frozenset({"label", "description"}),
    "LogMessage": frozenset({"logger"}),
    "EngineEvent": frozenset({"marker_start", "marker_end"}),
    "MetadataValue": frozenset({"text", "url", "path", "notebook", "json", "big_int", "markdown"}),
    "OpaqueValue": frozenset({"type_name", "text"}),
    "PythonArtifact": frozenset({"module", "name"}),
    "TableSchema": frozenset({"constraints"}),
    "TableColumn": frozenset({"type", "description", "other_constraints", "tags"}),
    "CodeReference": frozenset({"location", "label"}),
}
#: Lists that are one name together.
_WHOLE_LISTS: Final = frozenset({("AssetKey", "path")})


@dataclass(frozen=True)
class TextPlace:
    """A text or bytes somewhere in a message."""

    holder: Any
    #: The field's name, the index in a list, or the key in a map.
    key: Any
    path: str
    size: int

    @property
    def value(self) -> str | bytes:
        """What stands there."""
        value: str | bytes = (
            getattr(self.holder, self.key) if isinstance(self.holder, Message) else self.holder[self.key]
        )
        return value

    def put(self, preview: str) -> None:
        """Put a shorter text there, in a form that those who read the field understand."""
        if not isinstance(self.holder, Message):
            self.holder[self.key] = preview
        elif self.key == "json":
            # What reads it must find a JSON document.
            setattr(self.holder, self.key, json.dumps(preview))
        else:
            # The beginning of a number is no number.
            setattr(self.holder, "text" if self.key == "big_int" else self.key, preview)


@dataclass(frozen=True)
class ListPlace:
    """A list or a map somewhere in a message."""

    message: Any
    name: str
    is_map: bool
    path: str


def texts(message: Any, path: str = "") -> Iterator[TextPlace]:
    """Give every text and bytes that may be cut, with its size."""
    allowed = CONTENT.get(message.DESCRIPTOR.name, frozenset())
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        for key, item, item_path in _items(field, value, here):
            if isinstance(item, Message):
                # Most of what a large event has many of is small: it is not looked into.
                if item.ByteSize() > SMALL_BYTES:
                    yield from texts(item, item_path)
            elif isinstance(item, str | bytes) and field.name in allowed:
                holder, at = (message, field.name) if key is None else (value, key)
                yield TextPlace(holder, at, item_path, len(item.encode()) if isinstance(item, str) else len(item))


def _items(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Give what a field holds: the item, its key (None where the field holds one), and its path."""
    if isinstance(value, Message | str | bytes):
        yield None, value, path
    elif _is_map(field):
        for key in sorted(value):
            yield key, value[key], f"{path}[{str(key)[:LONGEST_NAME]}]"
    elif field.cpp_type in (FieldDescriptor.CPPTYPE_MESSAGE, FieldDescriptor.CPPTYPE_STRING):
        for index, item in enumerate(value):
            label = getattr(item, "label", "") if isinstance(item, Message) else ""
            yield index, item, f"{path}[{label[:LONGEST_NAME] or index}]"


def lists(message: Any, path: str = "") -> Iterator[ListPlace]:
    """Give every list and map that may be cut, those within others first."""
    for field, value in message.ListFields():
        if isinstance(value, str | bytes | int | float):
            continue
        here = f"{path}.{field.name}" if path else field.name
        for _, item, item_path in _items(field, value, here):
            if isinstance(item, Message) and item.ByteSize() > SMALL_BYTES:
                yield from lists(item, item_path)
        if not isinstance(value, Message) and (message.DESCRIPTOR.name, field.name) not in _WHOLE_LISTS:
            yield ListPlace(message, field.name, _is_map(field), here)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def shorten(each: ListPlace, list_bytes: int) -> tuple[int, int]:
    """Leave the first entries of a list that fit; return how many it had and has."""
    value = getattr(each.message, each.name)
    had, left = len(value), list_bytes
    keys = sorted(value) if each.is_map else range(had)
    for count, key in enumerate(keys):
        left -= _size(value[key]) + (_size(key) if each.is_map else 0)
        if left < 0:
            for doomed in keys[count:] if each.is_map else ():
                del value[doomed]
            if not each.is_map:
                del value[count:]
            return had, count
    return had, had


def _size(item: Any) -> int:
    """Return about what an item takes, bytes."""
    if isinstance(item, Message):
        return item.ByteSize() + 2
    return len(item.encode() if isinstance(item, str) else item) + 2 if isinstance(item, str | bytes) else 8
