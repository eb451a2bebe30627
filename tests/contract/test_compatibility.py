"""The contract keeps what the release before said; and the check itself finds what it has to."""

import importlib
import pkgutil
from pathlib import Path

import isthmus.v1
import pytest
from contract.compatibility import breaks
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

#: What was released: `make release-contract` writes it.
RELEASED = Path(__file__).with_name("released.binpb")

BEFORE = """
name: "isthmus/v1/a.proto" package: "isthmus.v1" syntax: "proto3"
message_type {
  name: "Run"
  field { name: "id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "tags" number: 2 type: TYPE_STRING label: LABEL_REPEATED }
  field { name: "state" number: 3 type: TYPE_ENUM type_name: ".isthmus.v1.State" label: LABEL_OPTIONAL }
  field { name: "job" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
  field { name: "step" number: 5 type: TYPE_MESSAGE type_name: ".isthmus.v1.Run.Step" label: LABEL_OPTIONAL oneof_index: 0 }
  oneof_decl { name: "target" }
  nested_type { name: "Step" field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL } }
  enum_type { name: "Kind" value { name: "KIND_UNSPECIFIED" number: 0 } }
  reserved_range { start: 9 end: 10 } reserved_name: "old"
}
enum_type {
  name: "State"
  value { name: "STATE_UNSPECIFIED" number: 0 }
  value { name: "STATE_DONE" number: 1 }
  reserved_range { start: 7 end: 7 }
}
service {
  name: "Api"
  method { name: "Get" input_type: ".isthmus.v1.Run" output_type: ".isthmus.v1.Run" }
  method { name: "Watch" input_type: ".isthmus.v1.Run" output_type: ".isthmus.v1.Run" server_streaming: true }
}
"""
_JOB = '  field { name: "job" number: 4 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }\n'


def contract(text: str) -> FileDescriptorSet:
    return FileDescriptorSet(file=[text_format.Parse(text, FileDescriptorProto())])


def changed(before: str, after: str) -> list[str]:
    assert before in BEFORE
    return breaks(contract(BEFORE), contract(BEFORE.replace(before, after, 1)))


def current() -> FileDescriptorSet:
    """The contract as the generated code has it."""
    names = [module.name for module in pkgutil.iter_modules(isthmus.v1.__path__) if module.name.endswith("_pb2")]
    files = FileDescriptorSet()
    for name in names:
        files.file.add().ParseFromString(importlib.import_module(f"isthmus.v1.{name}").DESCRIPTOR.serialized_pb)
    return files


def test_what_the_release_before_said_means_the_same() -> None:
    released = FileDescriptorSet.FromString(RELEASED.read_bytes())
    assert len([file for file in released.file if file.package == "isthmus.v1"]) >= 5
    assert breaks(released, current()) == []


def test_the_same_contract_keeps_all() -> None:
    assert breaks(contract(BEFORE), contract(BEFORE)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # What is added.
        (
            '  oneof_decl { name: "target" }\n',
            '  field { name: "new" number: 6 type: TYPE_INT64 label: LABEL_OPTIONAL } oneof_decl { name: "target" }\n',
        ),
        (
            '  value { name: "STATE_DONE" number: 1 }\n',
            '  value { name: "STATE_DONE" number: 1 } value { name: "STATE_NEW" number: 2 }\n',
        ),
        ('enum_type {\n  name: "State"', 'message_type { name: "New" }\nenum_type {\n  name: "State"'),
        (
            '  method { name: "Get"',
            '  method { name: "Put" input_type: ".isthmus.v1.Run" output_type: ".isthmus.v1.Run" }\n  method { name: "Get"',
        ),
        # What goes and leaves its number and name reserved.
        (_JOB, '  reserved_range { start: 4 end: 5 } reserved_name: "job"\n'),
        (
            '  value { name: "STATE_DONE" number: 1 }\n',
            '  reserved_range { start: 1 end: 1 } reserved_name: "STATE_DONE"\n',
        ),
    ],
)
def test_what_only_grows_is_no_break(before: str, after: str) -> None:
    assert changed(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('name: "id" number: 1', 'name: "id" number: 8', "field Run.id = 1: its number is now 8"),
        ('name: "id" number: 1', 'name: "name" number: 1', "its name was id and is name"),
        ('name: "id" number: 1 type: TYPE_STRING', 'name: "id" number: 1 type: TYPE_BYTES', "its type was TYPE_STRING and is TYPE_BYTES"),
        ("type: TYPE_STRING label: LABEL_REPEATED", "type: TYPE_STRING label: LABEL_OPTIONAL", "its label was LABEL_REPEATED"),
        ('type_name: ".isthmus.v1.State"', 'type_name: ".isthmus.v1.Run.Kind"', "its message or enum was .isthmus.v1.State"),
        (_JOB, _JOB.replace(" oneof_index: 0", ""), "its oneof was target and is none"),
        (_JOB, "", "field Run.job = 4 is gone"),
        (_JOB, "  reserved_range { start: 4 end: 5 }\n", "field Run.job = 4 is gone"),
        (_JOB, '  reserved_name: "job"\n', "field Run.job = 4 is gone"),
        ('oneof_decl { name: "target" }', 'oneof_decl { name: "what" }', "its oneof was target and is what"),
        ('{ name: "key" number: 1', '{ name: "key" number: 2', "field Run.Step.key = 1: its number is now 2"),
        ('name: "Step" field', 'name: "Stage" field', "message Run.Step is gone"),
        ('enum_type { name: "Kind"', 'enum_type { name: "Sort"', "enum Run.Kind is gone"),
        ('  name: "Run"\n', '  name: "Attempt"\n', "message Run is gone"),
        ('  oneof_decl { name: "target" }\n', '  field { name: "back" number: 9 type: TYPE_STRING label: LABEL_OPTIONAL } oneof_decl { name: "target" }\n', "number 9 of message Run was reserved"),
        ('  oneof_decl { name: "target" }\n', '  field { name: "old" number: 6 type: TYPE_STRING label: LABEL_OPTIONAL } oneof_decl { name: "target" }\n', "name old of message Run was reserved"),
        ('"STATE_DONE" number: 1', '"STATE_DONE" number: 2', "value State.STATE_DONE = 1: its number is now 2"),
        ('"STATE_DONE" number: 1', '"STATE_OVER" number: 1', "value State.STATE_DONE = 1: its number has another name"),
        ('  value { name: "STATE_DONE" number: 1 }\n', "", "value State.STATE_DONE = 1 is gone"),
        ('"STATE_DONE" number: 1 }\n', '"STATE_DONE" number: 1 } value { name: "STATE_BACK" number: 7 }\n', "number 7 of enum State was reserved"),
        ('  name: "Api"', '  name: "Other"', "service Api is gone"),
        ('name: "Get"', 'name: "Fetch"', "method Api.Get is gone"),
        (" server_streaming: true", "", "method Api.Watch was"),
        ('"Get" input_type: ".isthmus.v1.Run"', '"Get" input_type: ".isthmus.v1.Run.Step"', "method Api.Get was"),
    ],
)  # fmt: skip
def test_what_changes_its_meaning_or_goes_is_found(before: str, after: str, told: str) -> None:
    found = changed(before, after)
    assert any(told in line for line in found), found


def test_presence_is_part_of_a_field() -> None:
    optional = _JOB.replace("oneof_index: 0", "oneof_index: 0 proto3_optional: true")
    found = changed(_JOB, optional)
    assert any("its presence was False" in line for line in found), found
