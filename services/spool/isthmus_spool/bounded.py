"""Keeps an event within what every reader of it can hold: what is too large is cut, with a note of what it was.

The place is the writer, so that nothing behind it (relay, broker, monitor, history, pages of the API) has to have an
answer of its own. Which fields may be cut is said below: they tell something to people. What names a thing (a key, a step,
a run) is never cut, because a shorter name is the name of something else; an event whose names do not fit is replaced.

Used in forked children: imports nothing that starts threads or event loops.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import EncodeError, Message
from isthmus.v1.telemetry_pb2 import Cut, Event

#: An event is not larger than this, bytes: a tenth of what the broker takes in one message, and a page of a history or a
#: watcher's message holds several.
MAX_EVENT_BYTES: Final = 1024**2
#: A value, or a list that has to be cut, is not larger than this, bytes: four of them fit into one event.
MAX_VALUE_BYTES: Final = 256 * 1024
#: What is left of a value that was cut, bytes: enough for people to recognise it.
PREVIEW_BYTES: Final = 4 * 1024
#: Lists are cut to the first of these, bytes, with which the event fits.
_LIST_BYTES: Final = (MAX_VALUE_BYTES, 32 * 1024, 4 * 1024)
#: So many cuts are told one by one in the event itself; the notes in the texts are there for all of them.
_MOST_TOLD: Final = 100
#: A name is taken over into the event that replaces one up to this length, bytes.
_LONGEST_NAME: Final = 1024

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
#: The events that move a run or a step: what replaces one of them moves it, too.
_COURSE: Final = ("run_", "step_started", "step_succeeded", "step_failed", "step_skipped", "step_up", "step_restarted")

#: Keeps a whole value where the run's files are; raises OSError where that is not possible.
Keep = Callable[[str, bytes], None]


def bounded(event: Event, *, keep: Keep) -> bytes:
    """Return an event's bytes, cut to what an event may be. One that is small costs nothing but its serialisation.

    Args:
        event: The event; it stays as it is.
        keep: Takes each whole value that is cut, with the SHA-256 of its bytes, in hexadecimal.
    """
    try:
        body = event.SerializeToString()
    except EncodeError as error:
        return replacement(event, problem=f"it cannot be written ({error})").SerializeToString()
    if len(body) <= MAX_VALUE_BYTES:
        return body
    return _Cutter(event, size=len(body), keep=keep).cut()


@dataclass(frozen=True)
class _Place:
    """A text or bytes somewhere in a message."""

    holder: Any
    #: The field's name, the index in a list, or the key in a map.
    key: Any
    path: str
    size: int

    @property
    def value(self) -> str | bytes:
        value: str | bytes = (
            getattr(self.holder, self.key) if isinstance(self.holder, Message) else self.holder[self.key]
        )
        return value

    def put(self, preview: str) -> None:
        if not isinstance(self.holder, Message):
            self.holder[self.key] = preview
        elif self.key == "json":
            # What reads it must find a JSON document.
            setattr(self.holder, self.key, json.dumps(preview))
        else:
            # The beginning of a number is no number.
            setattr(self.holder, "text" if self.key == "big_int" else self.key, preview)


@dataclass(frozen=True)
class _List:
    """A list or a map somewhere in a message."""

    message: Any
    name: str
    is_map: bool
    path: str


class _Cutter:
    """Cuts a copy of one event until it fits."""

    def __init__(self, event: Event, *, size: int, keep: Keep) -> None:
        self._original = event
        self._event = Event()
        self._event.CopyFrom(event)
        self._whole_size = size
        self._keep = keep
        self._said: list[str] = []

    def cut(self) -> bytes:
        size = self._cut_values(self._whole_size)
        for list_bytes in _LIST_BYTES:
            if size <= MAX_EVENT_BYTES:
                break
            size = self._cut_lists(list_bytes)
        if size > MAX_EVENT_BYTES:
            return self._replace()
        if self._said:
            self._event.message += self._kept_whole(self._original_json(), what="; ".join(self._said))
        return self._event.SerializeToString()

    # ------------------------------------------------------------------------------------------------------- values

    def _cut_values(self, size: int) -> int:
        """Cut every value beyond its bound, and then the largest ones until the event fits; return its size."""
        places = [place for place in _texts(self._event) if place.size > PREVIEW_BYTES]
        for place in sorted(places, key=lambda each: -each.size):
            if place.size <= MAX_VALUE_BYTES and size <= MAX_EVENT_BYTES:
                break
            self._cut_value(place)
            size -= place.size - PREVIEW_BYTES
        return self._event.ByteSize()

    def _cut_value(self, place: _Place) -> None:
        value = place.value
        data = value.encode() if isinstance(value, str) else value
        preview = data[:PREVIEW_BYTES].decode(errors="ignore")
        place.put(preview + self._kept_whole(data, path=place.path))

    # -------------------------------------------------------------------------------------------------------- lists

    def _cut_lists(self, list_bytes: int) -> int:
        """Cut lists that are larger than that to their beginnings until the event fits; return its size.

        Those within others come first: a table's rows go before the metadata that stand beside the table.
        """
        size = self._event.ByteSize()
        for each in _lists(self._event):
            if size <= MAX_EVENT_BYTES:
                break
            had, has = _shorten(each, list_bytes)
            if has < had:
                self._said.append(f"{each.path} has {has} of {had} entries")
                self._tell(Cut(field=each.path, entries=had))
                size = self._event.ByteSize()
        return size

    def _original_json(self) -> bytes:
        return json.dumps(MessageToDict(self._original, preserving_proto_field_name=True)).encode()

    # ------------------------------------------------------------------------------------------------------- whole

    def _replace(self) -> bytes:
        problem = f"it has {self._whole_size} bytes, and what can be cut of it is not enough"
        event = replacement(self._original, problem=problem)
        self._event = event
        event.message += self._kept_whole(self._original_json(), what="the whole event")
        return event.SerializeToString()

    def _kept_whole(self, data: bytes, *, path: str = "", what: str = "") -> str:
        """Keep a whole value, tell of it in the event, and return the note that stands in its place."""
        digest = sha256(data).hexdigest()
        cut = Cut(field=path, size_bytes=len(data), sha256=digest, is_kept=True)
        note = f" … [cut: {what + '; ' if what else ''}{len(data)} bytes in all, SHA-256 {digest}"
        try:
            self._keep(digest, data)
        except OSError as error:
            cut.is_kept = False
            note += f", not kept: {error.strerror or error}"
        self._tell(cut)
        return note + "]"

    def _tell(self, cut: Cut) -> None:
        if len(self._event.cuts) < _MOST_TOLD:
            self._event.cuts.append(cut)


def replacement(event: Event, *, problem: str) -> Event:
    """Return an event that stands for one that cannot be told; one of a run's or a step's course still moves it."""
    name = event.WhichOneof("body") or ""
    is_step_told = len(event.step_key.encode()) <= _LONGEST_NAME
    told = Event(
        run=event.run if event.HasField("run") else None,
        seq=event.seq,
        occurred_at=event.occurred_at if event.HasField("occurred_at") else None,
        step_key=event.step_key if is_step_told else "",
        message=f"This event ({name or 'unknown'}) could not be told: {problem}.",
    )
    if name.startswith(_COURSE) and name not in {"step_input", "step_output"} and (is_step_told or name[:4] == "run_"):
        _copy_course(getattr(event, name), to=getattr(told, name), text=told.message)
    else:
        told.engine_event.kind = name
    return told


def _copy_course(body: Any, *, to: Any, text: str) -> None:
    """Copy what is no text of a body: numbers, reasons, offsets, exits."""
    to.SetInParent()
    for field, value in body.ListFields():
        if field.name == "failure":
            to.failure.error_class = value.error_class[:_LONGEST_NAME]
            to.failure.message = text
        elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            getattr(to, field.name).CopyFrom(value)
        elif field.cpp_type != FieldDescriptor.CPPTYPE_STRING:
            setattr(to, field.name, value)


# ------------------------------------------------------------------------------------------------------------ the walk


def _texts(message: Any, path: str = "") -> Iterator[_Place]:
    """Give every text and bytes that may be cut, with its size."""
    allowed = CONTENT.get(message.DESCRIPTOR.name, frozenset())
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        for key, item, item_path in _items(field, value, here):
            if isinstance(item, Message):
                # Most of what a large event has many of is small: it is not looked into.
                if item.ByteSize() > PREVIEW_BYTES:
                    yield from _texts(item, item_path)
            elif isinstance(item, str | bytes) and field.name in allowed:
                holder, at = (message, field.name) if key is None else (value, key)
                yield _Place(holder, at, item_path, len(item.encode()) if isinstance(item, str) else len(item))


def _items(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Give what a field holds: the item, its key (None where the field holds one), and its path."""
    if isinstance(value, Message | str | bytes):
        yield None, value, path
    elif _is_map(field):
        for key in sorted(value):
            yield key, value[key], f"{path}[{str(key)[:_LONGEST_NAME]}]"
    elif field.cpp_type in (FieldDescriptor.CPPTYPE_MESSAGE, FieldDescriptor.CPPTYPE_STRING):
        for index, item in enumerate(value):
            label = getattr(item, "label", "") if isinstance(item, Message) else ""
            yield index, item, f"{path}[{label[:_LONGEST_NAME] or index}]"


def _lists(message: Any, path: str = "") -> Iterator[_List]:
    """Give every list and map that may be cut, those within others first."""
    for field, value in message.ListFields():
        if isinstance(value, str | bytes | int | float):
            continue
        here = f"{path}.{field.name}" if path else field.name
        for _, item, item_path in _items(field, value, here):
            if isinstance(item, Message) and item.ByteSize() > _LIST_BYTES[-1]:
                yield from _lists(item, item_path)
        if not isinstance(value, Message) and (message.DESCRIPTOR.name, field.name) not in _WHOLE_LISTS:
            yield _List(message, field.name, _is_map(field), here)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _shorten(each: _List, list_bytes: int) -> tuple[int, int]:
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
