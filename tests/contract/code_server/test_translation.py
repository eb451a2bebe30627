"""No event of Dagster's, of whatever type and however filled, can fail a run or vanish."""

import time

import pytest
from dagster import DagsterEvent, DagsterEventType
from dagster._core.events.log import EventLogEntry
from isthmus_code_server.definitions.dagster.values.translation import translate


def entry(event_type: str, *, message: str = "told") -> EventLogEntry:
    # Dagster's constructor refuses an event without its data: another version's events may well look so to us.
    fields = {"event_type_value": event_type, "job_name": "j", "message": message, "step_key": "s"}
    event = tuple.__new__(DagsterEvent, [fields.get(name) for name in DagsterEvent._fields])
    return EventLogEntry(  # type: ignore[no-untyped-call, unused-ignore]  # Dagster's has no types
        error_info=None,
        level=10,
        user_message=message,
        run_id="r",
        timestamp=time.time(),
        step_key="s",
        job_name="j",
        dagster_event=event,
    )


@pytest.mark.parametrize("event_type", sorted(kind.value for kind in DagsterEventType))
def test_every_type_without_its_data_still_becomes_an_event(event_type: str) -> None:
    event = translate(entry(event_type))
    assert event.WhichOneof("body")
    assert (event.step_key, event.message) == ("s", "told")
    if event.HasField("engine_event"):
        assert event.engine_event.kind == event_type


def test_what_could_not_be_read_says_why() -> None:
    event = translate(entry("STEP_OUTPUT"))
    assert event.engine_event.kind == "STEP_OUTPUT"
    assert event.engine_event.failure.error_class


def test_a_type_that_is_not_known_keeps_its_name() -> None:
    event = translate(entry("ALERT_START"))
    assert event.engine_event.kind == "ALERT_START"
    assert not event.engine_event.HasField("failure")
