"""Numbers, moments and sizes of every request and query, made from their descriptors."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2, instance_pb2
from isthmus_control_plane.validation.bounds import MAX_CHARS, MAX_ENTRIES, violations

INTEGERS = {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_INT64}
REALS = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}
TIMESTAMP = Timestamp.DESCRIPTOR.full_name
REQUESTS = [
    *(method.input_type for method in control_plane_pb2.DESCRIPTOR.services_by_name["ControlPlane"].methods),
    instance_pb2.InstanceQuery.DESCRIPTOR,
]


def places(descriptor: Descriptor, *, above: tuple[FieldDescriptor, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Every way from a message to a number or a moment in it."""
    for field in descriptor.fields:
        way = (*above, field)
        if field.type in INTEGERS | REALS or (field.message_type and field.message_type.full_name == TIMESTAMP):
            yield way
        elif field.message_type and not field.message_type.GetOptions().map_entry and field not in above:
            yield from places(field.message_type, above=way)


def hostile(field: FieldDescriptor) -> list[Any]:
    if field.type in REALS:
        return [float("nan"), float("inf"), float("-inf")]
    if field.type == FieldDescriptor.TYPE_UINT64:
        return [2**63 - 1, 2**63, 2**64 - 1]
    if field.type == FieldDescriptor.TYPE_INT64:
        return [2**63 - 1, -(2**63)]
    return [Timestamp(seconds=2**62), Timestamp(seconds=-(2**62)), Timestamp(nanos=-1), Timestamp(nanos=2**31 - 1)]


def with_value(descriptor: Descriptor, way: tuple[FieldDescriptor, ...], value: Any) -> Message:
    message = whole = GetMessageClass(descriptor)()
    for field in way[:-1]:
        inner = getattr(message, field.name)
        message = inner.add() if field.is_repeated else inner
    last = way[-1]
    if last.is_repeated:
        getattr(message, last.name).append(value)
    elif isinstance(value, Timestamp):
        getattr(message, last.name).CopyFrom(value)
    else:
        setattr(message, last.name, value)
    return whole


CASES = [(descriptor, way) for descriptor in REQUESTS for way in places(descriptor)]


@pytest.mark.parametrize(
    ("descriptor", "way"), CASES, ids=[f"{it.name}.{'.'.join(f.name for f in way)}" for it, way in CASES]
)
def test_a_hostile_number_is_refused_by_the_name_of_its_field(
    descriptor: Descriptor, way: tuple[FieldDescriptor, ...]
) -> None:
    for value in hostile(way[-1]):
        (fault,) = violations(with_value(descriptor, way, value))
        assert fault.field.replace("[0]", "") == ".".join(field.name for field in way)


def test_there_are_numbers_to_be_hostile_with() -> None:
    assert {"WatchRunRequest.after_position", "TerminateRunRequest.grace_s", "InstanceQuery.timeout_s"} <= {
        f"{descriptor.name}.{'.'.join(field.name for field in way)}" for descriptor, way in CASES
    }


def test_lists_maps_and_texts_have_an_end() -> None:
    request = control_plane_pb2.LaunchRunRequest(op_selection=["x"] * (MAX_ENTRIES + 1), job_name="x" * (MAX_CHARS + 1))
    request.tags.update({str(number): "" for number in range(MAX_ENTRIES + 1)})
    assert {fault.field for fault in violations(request)} == {"op_selection", "job_name", "tags"}


def test_what_is_ordinary_passes() -> None:
    request = control_plane_pb2.LaunchRunRequest(location="sales", job_name="nightly", tags={"a": "b"})
    assert violations(request) == []


def test_thousands_of_faults_are_not_all_told() -> None:
    query = instance_pb2.InstanceQuery()
    query.events.ids.extend([2**63 - 1] * 10_000)
    assert len(violations(query)) == 100
