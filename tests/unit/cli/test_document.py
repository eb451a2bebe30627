"""Messages as JSON documents."""

import json
import math

from isthmus.v1.control_plane_pb2 import Run, RunState
from isthmus.v1.telemetry_pb2 import Event, LogChunk, MetadataEntry, MetadataValue, RunFailed, RunReason, StepOutput
from isthmus_cli.document import dump, enum_text, to_document


def test_every_field_is_there_with_plain_types() -> None:
    run = Run(state=RunState.RUN_STATE_RUNNING, last_position=2**40)
    run.request.tags["b"] = "2"
    run.request.tags["a"] = "1"
    run.queued_at.FromJsonString("2030-01-31T08:00:00.5Z")
    document = to_document(run)
    assert list(document) == [field.name for field in Run.DESCRIPTOR.fields]
    assert (document["state"], document["reason"]) == ("RUNNING", "UNSPECIFIED")
    assert (document["last_position"], document["queued_at"]) == (2**40, "2030-01-31T08:00:00.500Z")
    assert (document["started_at"], document["failure"], document["violations"]) == (None, None, [])
    assert list(document["request"]["tags"].items()) == [("a", "1"), ("b", "2")]
    assert document["request"]["run"] is None


def test_of_a_oneof_only_the_one_that_is_set_is_there() -> None:
    event = Event(step_key="load", step_output=StepOutput(output_name="result"))
    document = to_document(event)
    assert document["kind"] == "step_output"
    assert document["step_output"]["output_name"] == "result"
    assert document["step_output"]["is_type_check_ok"] is None
    assert "run_failed" not in document


def test_a_document_is_valid_json_whatever_it_holds() -> None:
    nan = MetadataEntry(label="ratio", value=MetadataValue(float=math.nan))
    chunk = LogChunk(data=b"\xff\n")
    for message in (nan, chunk, Event(run_failed=RunFailed(reason=RunReason.RUN_REASON_OUT_OF_MEMORY))):
        text = dump(to_document(message), is_line=True)
        assert "\n" not in text
        assert json.loads(text, parse_constant=lambda name: f"not JSON: {name}") == to_document(message)


def test_a_number_that_a_newer_server_sends_stays_a_number() -> None:
    assert enum_text(99, descriptor=RunState.DESCRIPTOR) == "99"


def test_a_moment_that_no_calendar_knows_is_a_document_all_the_same() -> None:
    run = Run()
    run.queued_at.seconds = 2**62
    assert to_document(run)["queued_at"] == f"{2**62}.000000000"
