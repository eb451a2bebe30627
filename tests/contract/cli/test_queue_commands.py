"""`isthmus queue …` and `isthmus run why`, against a canned control plane."""

from pathlib import Path

import grpc
import pytest
from contract.cli.conftest import Isthmus
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2 as api
from support.canned import CannedServer, Refusal, a_run

RUN = "6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11"
LIMITS = """\
concurrency:
  max_runs: 25
  locations:
    etl: 5
  tags:
  - key: database
    value: redshift
    limit: 4
  - key: customer
    per_value: true
    limit: 1
  pools:
    default_limit: 2
    limits:
      snowflake: 3
"""


async def test_limits_of_a_file_are_set_and_shown_as_the_file_that_sets_them(
    isthmus: Isthmus, canned: CannedServer, tmp_path: Path
) -> None:
    (tmp_path / "limits.yaml").write_text(LIMITS)
    assert (await isthmus("queue", "set", "limits.yaml")).code == 0
    (asked,) = canned.plane.asked
    assert isinstance(asked, api.SetQueueSettingsRequest)
    assert asked.settings.max_runs == 25
    assert [(it.key, it.value, it.per_value, it.limit) for it in asked.settings.tags] == [
        ("database", "redshift", False, 4),
        ("customer", "", True, 1),
    ]
    shown = await isthmus("queue", "show")
    assert shown.out == LIMITS
    assert "Revision 1" in shown.err


async def test_a_file_without_limits_lifts_them_all(isthmus: Isthmus, canned: CannedServer, tmp_path: Path) -> None:
    (tmp_path / "limits.yaml").write_text("concurrency:\n")
    assert (await isthmus("queue", "set", "limits.yaml")).code == 0
    (asked,) = canned.plane.asked
    assert isinstance(asked, api.SetQueueSettingsRequest)
    assert asked.settings == api.QueueSettings(pools=api.PoolLimits())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("concurrency: {max_run: 5}", "max_run: there is no such field; did you mean max_runs?"),
        ("concurrency: {max_runs: -1}", "max_runs: Input should be greater than or equal to 0"),
        ("concurrency: {max_runs: '5'}", "max_runs: Input should be a valid integer"),
        ("concurrency: {max_runs: 5000000000}", "max_runs: Input should be less than"),
        ("concurrency: {tags: [{limit: 1}]}", "tags[0].key: is missing"),
        ("concurrency: {tags: [{key: a, limit: 1, pervalue: true}]}", "did you mean per_value?"),
        ("concurrency: {pools: {limit: {a: 1}}}", "did you mean limits?"),
        ("concurrency: {locations: {etl: .nan}}", "locations.etl: Input should be"),
        ("concurrency: 5", "as a whole: Input should be"),
        ("concurrency: [", "limits.yaml"),
    ],
)
async def test_a_file_that_cannot_be_used_names_its_field_and_sets_nothing(
    isthmus: Isthmus, canned: CannedServer, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "limits.yaml").write_text(text)
    outcome = await isthmus("queue", "set", "limits.yaml")
    assert outcome.code == 2
    assert told in outcome.err
    assert not canned.plane.asked


async def test_the_queue_is_told_in_a_few_lines(isthmus: Isthmus, canned: CannedServer) -> None:
    canned.plane.queue.CopyFrom(
        api.Queue(
            depth=2,
            left_last_minute=1,
            under_way=3,
            reasons=[api.QueueReason(text="pool snowflake is full: 3 of 3 runs", runs=2, oldest_queued_at=Timestamp())],
            slots=[api.SlotUse(kind="pool", name="snowflake", taken=3, limit=3)],
            pauses=[api.PausedThing(kind=api.PAUSE_KIND_LOCATION, name="etl", paused_by="ana", why="new warehouse")],
        )
    )
    outcome = await isthmus("queue")
    assert outcome.code == 0
    assert "2 runs wait; 1 run left the queue in the last minute, 3 under way." in outcome.out
    assert "pool snowflake is full: 3 of 3 runs" in outcome.out
    assert "3 of 3  pool snowflake" in outcome.out
    assert "Location etl was paused by ana" in outcome.out


async def test_what_is_paused_is_named_with_the_command_that_lets_it_go_on(
    isthmus: Isthmus, canned: CannedServer
) -> None:
    outcome = await isthmus("queue", "pause", "location", "etl", "--why", "new warehouse")
    assert outcome.code == 0
    assert "isthmus queue resume location etl" in outcome.err
    assert (await isthmus("queue", "resume", "location", "etl")).code == 0
    paused, resumed = canned.plane.asked
    assert isinstance(paused, api.PauseRequest)
    assert isinstance(resumed, api.ResumeRequest)
    assert (paused.kind, paused.name, paused.why) == (api.PAUSE_KIND_LOCATION, "etl", "new warehouse")
    assert (resumed.kind, resumed.name) == (api.PAUSE_KIND_LOCATION, "etl")


async def test_what_cannot_be_paused_is_refused_before_anybody_is_asked(isthmus: Isthmus, canned: CannedServer) -> None:
    outcome = await isthmus("queue", "pause", "schedule", "etl")
    assert outcome.code == 2
    assert "deployment" in outcome.err
    assert not canned.plane.asked


async def test_a_refused_pause_is_told_with_its_reason(isthmus: Isthmus, canned: CannedServer) -> None:
    canned.plane.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "There is no location etk; did you mean etl?")
    outcome = await isthmus("queue", "pause", "location", "etk")
    assert outcome.code != 0
    assert "did you mean etl?" in outcome.err


async def test_why_a_run_waits_is_told_with_who_holds_what_it_needs(isthmus: Isthmus, canned: CannedServer) -> None:
    run = a_run(RUN)
    run.state = api.RUN_STATE_QUEUED
    canned.plane.runs[RUN] = run
    canned.plane.explanation.CopyFrom(
        api.RunExplanation(
            run=run,
            ahead=2,
            reasons=[
                api.WaitReason(
                    text="pool snowflake is full: 1 of 1 run",
                    remedy="wait until one of them ends",
                    holders=[api.SlotHolder(run_id="0d9c1f2a", job_name="nightly", location="etl")],
                )
            ],
        )
    )
    outcome = await isthmus("run", "why", RUN)
    assert outcome.code == 0
    assert "1. pool snowflake is full: 1 of 1 run" in outcome.out
    assert "0d9c1f2a  nightly of etl" in outcome.out
    assert "2 runs held back by the same go first." in outcome.out
    assert "1. pool snowflake is full: 1 of 1 run" in (await isthmus("run", "show", RUN)).out
