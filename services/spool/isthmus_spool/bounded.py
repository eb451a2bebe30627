"""Keeps an event within what every reader of it can hold: what is too large is cut, with a note of what it was.

The place is the writer, so that nothing behind it (relay, broker, monitor, history, pages of the API) has to have an
answer of its own. Which fields may be cut is said in `event_place`: they tell something to people. What names a thing (a
key, a step, a run) is never cut, because a shorter name is the name of something else; an event whose names do not fit is replaced.

Used in forked children: imports nothing that starts threads or event loops.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import EncodeError
from isthmus.v1.telemetry_pb2 import Cut, Event

from isthmus_spool.event_place import LONGEST_NAME, SMALL_BYTES, TextPlace, lists, shorten, texts

#: An event is not larger than this, bytes: a tenth of what the broker takes in one message, and a page of a history or a
#: watcher's message holds several.
MAX_EVENT_BYTES: Final = 1024**2
#: A value, or a list that has to be cut, is not larger than this, bytes: four of them fit into one event.
MAX_VALUE_BYTES: Final = 256 * 1024
#: What is left of a value that was cut, bytes: enough for people to recognise it.
PREVIEW_BYTES: Final = SMALL_BYTES
#: Lists are cut to the first of these, bytes, with which the event fits.
_LIST_BYTES: Final = (MAX_VALUE_BYTES, 32 * 1024, SMALL_BYTES)
#: So many cuts are told one by one in the event itself; the notes in the texts are there for all of them.
_MOST_TOLD: Final = 100

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
        places = [place for place in texts(self._event) if place.size > PREVIEW_BYTES]
        for place in sorted(places, key=lambda each: -each.size):
            if place.size <= MAX_VALUE_BYTES and size <= MAX_EVENT_BYTES:
                break
            self._cut_value(place)
            size -= place.size - PREVIEW_BYTES
        return self._event.ByteSize()

    def _cut_value(self, place: TextPlace) -> None:
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
        for each in lists(self._event):
            if size <= MAX_EVENT_BYTES:
                break
            had, has = shorten(each, list_bytes)
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
    is_step_told = len(event.step_key.encode()) <= LONGEST_NAME
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
            to.failure.error_class = value.error_class[:LONGEST_NAME]
            to.failure.message = text
        elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            getattr(to, field.name).CopyFrom(value)
        elif field.cpp_type != FieldDescriptor.CPPTYPE_STRING:
            setattr(to, field.name, value)
