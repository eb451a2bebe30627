"""`isthmus queue …` and `isthmus run why` as processes against a real gRPC server."""

from pathlib import Path

from contract.cli.conftest import Isthmus
from isthmus.v1.control_plane_pb2 import (
    PauseKind,
    PauseRequest,
    Queue,
    QueueReason,
    QueueSettings,
    QueueSettingsRevision,
    ResumeRequest,
    RunExplanation,
    SetQueueSettingsRequest,
    SlotHolder,
    SlotUse,
    Station,
    WaitReason,
)
from support.canned import CannedServer, a_run

FULL = SlotUse(kind="pool", name="db", taken=1, limit=1)


def explanation() -> RunExplanation:
    holder = SlotHolder(run_id="0d9c1f2a-4b11-4a57-9d70-6f1c7a523c1b", location="etl", job_name="nightly")
    reason = WaitReason(
        kind=WaitReason.KIND_POOL, text="pool db is full: 1 of 1 runs", remedy="wait", slot=FULL, holders=[holder]
    )
    return RunExplanation(run=a_run("r1"), reasons=[reason], ahead=3, stations=[Station(name="queued")])


async def test_why_tells_each_reason_who_has_it_and_what_would_end_it(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.explanation = explanation()
    canned.plane.runs["r1"] = a_run("r1")
    told = (await isthmus("run", "why", "r1")).out
    assert "1. pool db is full: 1 of 1 runs" in told
    assert "0d9c1f2a  nightly of etl" in told
    assert "3 runs held back by the same go first." in told
    shown = (await isthmus("run", "show", "r1")).out
    assert "1. pool db is full: 1 of 1 runs" in shown
    assert (await isthmus("run", "why", "r1", "--json")).document["reasons"][0]["slot"]["limit"] == 1


async def test_the_queue_is_told_with_reasons_limits_and_pauses(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.queue = Queue(
        depth=12,
        left_last_minute=4,
        under_way=2,
        reasons=[QueueReason(text="pool db is full: 1 of 1 runs", runs=12)],
        slots=[FULL, SlotUse(kind="runs", taken=2, limit=9)],
        settings=QueueSettingsRevision(revision=3, settings=QueueSettings(max_runs=9)),
    )
    canned.plane.queue.pauses.add(kind=PauseKind.PAUSE_KIND_LOCATION, name="etl", paused_by="ana", why="moving")
    for words in (("queue",), ("queue", "status")):
        told = (await isthmus(*words)).out
        assert "12 runs wait; 4 runs left the queue in the last minute, 2 under way." in told
        assert "1 of 1  pool db" in told
        assert "2 of 9  runs of the deployment" in told
        assert "Location etl was paused by ana" in told
    assert (await isthmus("queue", "show")).out == "concurrency:\n  max_runs: 9\n"


async def test_limits_are_set_from_a_file_and_faults_of_it_told(
    canned: CannedServer, isthmus: Isthmus, tmp_path: Path
) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("concurrency: {max_runs: 3}")
    assert (await isthmus("queue", "set", str(file))).code == 0
    (asked,) = canned.plane.asked
    assert isinstance(asked, SetQueueSettingsRequest)
    assert asked.settings == QueueSettings(max_runs=3, pools=asked.settings.pools)
    file.write_text("concurrency: {max_run: 3}")
    refused = await isthmus("queue", "set", str(file))
    assert refused.code != 0
    assert "did you mean max_runs?" in refused.err


async def test_pausing_and_resuming_name_what_they_are_about(canned: CannedServer, isthmus: Isthmus) -> None:
    paused = await isthmus("queue", "pause", "pool", "db", "--why", "backup")
    assert "isthmus queue resume pool db" in paused.err
    assert (await isthmus("queue", "resume", "queue")).code == 0
    first, second = canned.plane.asked
    assert isinstance(first, PauseRequest)
    assert (first.kind, first.name, first.why) == (PauseKind.PAUSE_KIND_POOL, "db", "backup")
    assert isinstance(second, ResumeRequest)
    assert (second.kind, second.name) == (PauseKind.PAUSE_KIND_QUEUE, "")
