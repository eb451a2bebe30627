"""A run that failed and the one that follows it are told apart wherever they are shown."""

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1.control_plane_pb2 import RUN_STATE_FAILED, RUN_STATE_QUEUED, Run
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import RUN_REASON_PROCESS_KILLED, Event, RunQueued, RunRef
from isthmus_cli.view.event import event_lines
from isthmus_cli.view.paint import Paint
from isthmus_cli.view.run import ending_lines, run_lines, run_table
from isthmus_cli.view.table import Room
from isthmus_cli.view.timeline import RunTimeline

FIRST, SECOND = "6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11", "b2f0c1d4-1d2e-5f3a-8b4c-5d6e7f809102"
FAILED = Run(
    request=RunRequest(run=RunRef(run_id=FIRST, attempt=1), job_name="nightly"),
    state=RUN_STATE_FAILED,
    reason=RUN_REASON_PROCESS_KILLED,
    queued_at=Timestamp(seconds=1_900_000_000),
    retried_by_run_id=SECOND,
)
RETRY = Run(
    request=RunRequest(run=RunRef(run_id=SECOND, attempt=1), job_name="nightly"),
    state=RUN_STATE_QUEUED,
    message="back-off until 2030-03-17 17:46:50 UTC",
    queued_at=Timestamp(seconds=1_900_000_000),
    retry_of_run_id=FIRST,
    retry_number=2,
)


def test_in_a_list() -> None:
    lines = run_table([RETRY, FAILED], paint=Paint(), room=Room())
    assert lines[1].endswith("retry 2 of 6f1c7a52; back-off until 2030-03-17 17:46:50 UTC")
    assert lines[2].endswith("retried as b2f0c1d4; PROCESS_KILLED")


def test_each_by_itself() -> None:
    assert f"retried   as run {SECOND}" in run_lines(FAILED, paint=Paint())
    assert f"retry     2, after run {FIRST} failed" in run_lines(RETRY, paint=Paint())


def test_at_the_end_of_a_watch_and_in_the_history_of_the_next() -> None:
    assert ending_lines(RunTimeline(FAILED), paint=Paint())[-1] == "It is retried: isthmus run watch b2f0c1d4"
    queued = Event(run_queued=RunQueued(requested_by="run retries", retry_of_run_id=FIRST, retry_number=2))
    (line,) = event_lines(queued, took_s=None, paint=Paint())
    assert line.endswith("  queued as retry 2, after run 6f1c7a52 failed")
