"""Stored events become Dagster's again: what is rebuilt and translated once more says the same."""

import pytest
from isthmus.v1.instance_pb2 import StoredEvent
from isthmus.v1.telemetry_pb2 import Event
from isthmus_code_server.definitions.dagster.asked.rebuild import entry_of
from isthmus_code_server.definitions.dagster.values.translation import translate
from isthmus_code_server.definitions.port import Definitions
from support_code_server import execute, run_request

#: Dagster has no words for all that these say: the run's own events are told by the execution, which knows more.
UNTRANSLATED = {"run_started", "run_succeeded", "run_failed", "asset_failed"}


def again(event: Event) -> Event:
    """Rebuild an event as Dagster's, and translate that."""
    stored = StoredEvent(id=1, job_name="job", event=event)
    retries = event.step_started.retry_number or event.step_restarted.retry_number
    return translate(entry_of(stored), retry_number=retries)


def comparable(event: Event) -> Event:
    """Leave out what only the store or the definitions know."""
    told = Event()
    told.CopyFrom(event)
    told.ClearField("run")
    told.ClearField("seq")
    told.ClearField("occurred_at")
    if told.HasField("asset_check_evaluated"):
        told.asset_check_evaluated.is_blocking = False
    return told


@pytest.mark.parametrize(
    "job",
    [
        "smallest",
        "nested",
        "dynamic",
        "retried",
        "failing",
        "failing_with_metadata",
        "hooked",
        "expecting",
        "branching",
    ],
)
def test_events_of_jobs_say_the_same_again(jobs: Definitions, job: str) -> None:
    events = [it for it in execute(jobs, run_request(job)) if it.WhichOneof("body") not in UNTRANSLATED]
    assert events
    for event in events:
        assert comparable(again(event)) == comparable(event)


def test_who_failed_is_kept_and_shown_as_dagster_shows_it(jobs: Definitions) -> None:
    (failed,) = (it for it in execute(jobs, run_request("failing")) if it.HasField("step_failed"))
    data = entry_of(StoredEvent(id=1, job_name="job", event=failed)).dagster_event.step_failure_data  # type: ignore[union-attr]
    assert data.error_source.value == "USER_CODE_ERROR"
    assert "ValueError: outer" in data.error_display_string


@pytest.mark.parametrize(("job", "partition"), [("numbers", ""), ("both", "2024-01-01|a")])
def test_events_of_assets_say_the_same_again(assets: Definitions, job: str, partition: str) -> None:
    events = execute(assets, run_request(job, partition=partition))
    told = [it for it in events if it.WhichOneof("body") not in UNTRANSLATED]
    assert any(it.HasField("asset_materialized") for it in told)
    for event in told:
        assert comparable(again(event)) == comparable(event)
