"""`isthmus run …` as a process against a real gRPC server: output and exit codes."""

import json
import os
from pathlib import Path

import grpc
import pytest
from contract.cli.conftest import Isthmus
from google.rpc.error_details_pb2 import BadRequest, ResourceInfo
from isthmus.v1.control_plane_pb2 import (
    LaunchRunRequest,
    ListRunsQuery,
    ReexecuteRunRequest,
    Run,
    RunState,
    RunUpdate,
    StreamLogsRequest,
)
from isthmus.v1.telemetry_pb2 import (
    AssetCheckEvaluated,
    AssetKey,
    AssetMaterialized,
    Event,
    Failure,
    LogChunk,
    LogGap,
    LogStream,
    MetadataEntry,
    MetadataValue,
    RunReason,
    RunStarted,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from support.canned import CannedServer, Refusal, a_location, a_run

SUCCEEDED, FAILED, CANCELED = RunState.RUN_STATE_SUCCEEDED, RunState.RUN_STATE_FAILED, RunState.RUN_STATE_CANCELED


def told(*events: Event, end: Run) -> list[RunUpdate]:
    """A run's history: it starts, what is given happens, it ends."""
    started = Event(run_started=RunStarted(pid=7, step_keys=["load", "report"]))
    updates = [RunUpdate(run=a_run("r1", state=RunState.RUN_STATE_RUNNING))]
    updates += [RunUpdate(position=place, event=event) for place, event in enumerate([started, *events], start=1)]
    return [*updates, RunUpdate(run=end)]


def steps() -> list[Event]:
    rows = MetadataEntry(label="rows", value=MetadataValue(int=120))
    check = AssetCheckEvaluated(asset=AssetKey(path=["raw", "trips"]), check_name="not_empty", is_passed=True)
    trips = AssetMaterialized(asset=AssetKey(path=["raw", "trips"]), metadata=[rows])
    return [
        Event(step_key="load", step_started=StepStarted()),
        Event(step_key="load", asset_materialized=trips),
        Event(step_key="load", asset_check_evaluated=check),
        Event(step_key="load", step_succeeded=StepSucceeded(duration_s=0.25)),
    ]


async def test_launch_prints_the_runs_id_alone_on_stdout(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("run", "launch", "etl", "nightly")
    request = canned.plane.asked[-1]
    assert isinstance(request, LaunchRunRequest)
    assert (outcome.code, outcome.out.strip()) == (0, request.run_id)
    assert (request.location, request.job_name) == ("etl", "nightly")


async def test_launch_sends_config_selection_partition_and_tags(
    canned: CannedServer, isthmus: Isthmus, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("ops:\n  load:\n    config: {limit: 1, day: 2030-01-31}\n")
    outcome = await isthmus(
        *("run", "launch", "etl", "nightly", "--config", "config.yaml", "--set", "ops.load.config.limit=5"),
        *("--ops", "load,report", "--partition", "2030-01-31", "--tag", "team=data", "--tag", "a=b=c"),
        *("--assets", "a,b/c", "--run-id", "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11", "-o", "json"),
    )
    assert outcome.code == 0, outcome.err
    request = canned.plane.asked[-1]
    assert isinstance(request, LaunchRunRequest)
    assert json.loads(request.run_config_json) == {"ops": {"load": {"config": {"limit": 5, "day": "2030-01-31"}}}}
    assert list(request.op_selection) == ["load", "report"]
    assert list(request.asset_queries) == ["a,b/c"]
    assert dict(request.tags) == {"team": "data", "a": "b=c"}
    assert outcome.document["request"]["run"]["run_id"] == request.run_id == "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11"


async def test_launch_finds_the_only_location_and_reads_config_from_stdin(
    canned: CannedServer, isthmus: Isthmus
) -> None:
    canned.plane.locations["etl"] = a_location("etl", jobs=["nightly"])
    outcome = await isthmus("run", "launch", "nightly", "-c", "-", stdin='{"ops": {}}')
    assert outcome.code == 0, outcome.err
    request = canned.plane.asked[-1]
    assert isinstance(request, LaunchRunRequest)
    assert (request.location, request.run_config_json) == ("etl", '{"ops": {}}')


async def test_launch_asks_which_location_when_there_are_several(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.locations = {name: a_location(name, jobs=["nightly"]) for name in "ab"}
    outcome = await isthmus("run", "launch", "nightly")
    assert outcome.code == 2
    assert "LOCATION one of: a, b" in outcome.err


async def test_an_invalid_launch_exits_with_2_and_names_the_fields(canned: CannedServer, isthmus: Isthmus) -> None:
    detail = BadRequest()
    detail.field_violations.add(field="job_name", description="there is no job nope; did you mean hope?")
    canned.plane.refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "not valid", (detail,))
    outcome = await isthmus("run", "launch", "etl", "nope")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "Error: there is no job nope; did you mean hope?\n"


async def test_a_wrong_config_exits_with_2_and_names_the_line(isthmus: Isthmus, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("ops:\n  load: [\n")
    outcome = await isthmus("run", "launch", "etl", "nightly", "--config", "config.yaml")
    assert outcome.code == 2
    assert "config.yaml line 3" in outcome.err


@pytest.mark.parametrize(("state", "code"), [(SUCCEEDED, 0), (FAILED, 1), (CANCELED, 3)])
async def test_watch_exits_with_the_runs_outcome(
    canned: CannedServer, isthmus: Isthmus, state: "RunState.ValueType", code: int
) -> None:
    canned.plane.updates = told(*steps(), end=a_run("r1", state=state))
    outcome = await isthmus("run", "watch", "r1")
    assert outcome.code == code
    assert RunState.Name(state).removeprefix("RUN_STATE_") in outcome.out


async def test_watch_without_a_terminal_prints_plain_lines(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.updates = told(*steps(), end=a_run("r1", state=SUCCEEDED))
    outcome = await isthmus("run", "launch", "etl", "nightly", "--watch")
    assert outcome.code == 0, outcome.err
    assert "\x1b" not in outcome.out
    lines = [line[10:] for line in outcome.out.splitlines()]
    assert lines[:-1] == [
        "started, process 7, 2 steps",
        "▸ load",
        "  materialized raw/trips  rows=120",
        "  passed check not_empty of raw/trips",
        "✓ load  250 ms",
    ]
    assert outcome.out.splitlines()[-1] == "SUCCEEDED after 2.0 s · 1 step · 1 materialization · 1 passed check"


async def test_watch_tells_a_failure_with_its_stack_and_cause(canned: CannedServer, isthmus: Isthmus) -> None:
    cause = Failure(error_class="KeyError", message="'limit'", stack=['  File "etl.py", line 3, in load\n'])
    failure = Failure(error_class="StepError", message="load broke", cause=cause)
    end = a_run("r1", state=FAILED)
    end.reason, end.message = RunReason.RUN_REASON_USER_ERROR, "1 step failed"
    failed = Event(step_key="load", step_failed=StepFailed(failure=failure))
    canned.plane.updates = told(Event(step_key="load", step_started=StepStarted()), failed, end=end)
    outcome = await isthmus("run", "watch", "r1")
    assert outcome.code == 1
    assert 'File "etl.py", line 3, in load' in outcome.out
    assert outcome.out.index("KeyError: 'limit'\n") < outcome.out.index("\nStepError: load broke\n")
    assert "FAILED after 2.0 s: 1 step failed" in outcome.out


async def test_watch_as_json_is_one_document_per_line(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.updates = told(*steps(), end=a_run("r1", state=FAILED))
    outcome = await isthmus("run", "watch", "r1", "-o", "json")
    assert outcome.code == 1
    assert [line["event"] and line["event"]["kind"] for line in outcome.documents] == [
        None,
        "run_started",
        "step_started",
        "asset_materialized",
        "asset_check_evaluated",
        "step_succeeded",
        None,
    ]
    assert outcome.documents[5]["event"]["step_succeeded"] == {"duration_s": 0.25, "log_offsets": None}
    assert outcome.documents[-1]["run"]["state"] == "FAILED"


async def test_show_tells_violations_and_reason(canned: CannedServer, isthmus: Isthmus) -> None:
    run = a_run("r1", state=FAILED)
    run.reason = RunReason.RUN_REASON_INVALID_REQUEST
    run.violations.add(field="run_config.ops.load", description="is missing")
    canned.plane.runs["r1"] = run
    outcome = await isthmus("run", "show", "r1")
    assert outcome.code == 0
    assert "FAILED: INVALID_REQUEST" in outcome.out
    assert "config ops.load: is missing" in outcome.out
    as_json = await isthmus("run", "show", "r1", "-o", "json")
    assert as_json.document["violations"] == [{"field": "run_config.ops.load", "description": "is missing"}]
    assert (as_json.document["reason"], as_json.document["failure"]) == ("INVALID_REQUEST", None)


async def test_a_run_that_is_not_there_exits_with_4(canned: CannedServer, isthmus: Isthmus) -> None:
    detail = ResourceInfo(resource_type="isthmus.run", resource_name="r9")
    canned.plane.refusal = Refusal(grpc.StatusCode.NOT_FOUND, "there is no run 'r9'", (detail,))
    outcome = await isthmus("run", "show", "r9")
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.err == "Error: there is no run 'r9'\n"


async def test_no_control_plane_exits_with_5_and_says_what_to_do(canned: CannedServer, isthmus: Isthmus) -> None:
    await canned.server.stop(None)
    outcome = await isthmus("run", "list")
    assert outcome.code == 5
    assert canned.address in outcome.err
    assert "isthmus dev" in outcome.err


async def test_list_filters_and_tells_how_to_get_the_next_page(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.runs = {"r1": a_run("r1", state=SUCCEEDED), "r2": a_run("r2", state=FAILED)}
    canned.plane.next_page_token = "t2"
    outcome = await isthmus(
        *("run", "list", "--state", "failed,running", "--job", "nightly", "--location", "etl"),
        *("--tag", "team=data", "--since", "2030-01-31T00:00:00+00:00", "--limit", "2"),
    )
    assert outcome.code == 0, outcome.err
    query = canned.plane.asked[0]
    assert isinstance(query, ListRunsQuery)
    assert list(query.states) == [FAILED, RunState.RUN_STATE_RUNNING]
    assert (query.job_name, query.location, dict(query.tags)) == ("nightly", "etl", {"team": "data"})
    assert (query.queued_after.seconds, query.page_size, query.deployment) == (1896048000, 2, "default")
    assert [line.split()[:2] for line in outcome.out.splitlines()[1:]] == [["r1", "SUCCEEDED"], ["r2", "FAILED"]]
    assert "--page t2" in outcome.err


async def test_logs_go_where_they_belong_and_bytes_stay_bytes(canned: CannedServer, isthmus: Isthmus) -> None:
    half, rest = "ä".encode()[:1], "ä".encode()[1:]
    out, err = LogStream.LOG_STREAM_STDOUT, LogStream.LOG_STREAM_STDERR
    canned.plane.chunks = [
        LogChunk(stream=out, offset=0, data=half),
        LogChunk(stream=err, offset=0, data=b"warned\n"),
        LogChunk(stream=out, offset=1, data=rest + b"\n"),
    ]
    outcome = await isthmus("run", "logs", "r1")
    assert (outcome.code, outcome.out, outcome.err) == (0, "ä\n", "warned\n")
    only = await isthmus("run", "logs", "r1", "--stream", "stderr", "-o", "json")
    assert only.documents == [
        {"stream": "stderr", "step_key": "", "offset": 0, "text": "warned\n", "gap": None},
    ]


async def test_a_value_that_was_cut_out_of_an_event_is_printed_as_it_is(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.chunks = [LogChunk(stream=LogStream.LOG_STREAM_STDOUT, data=b"\0whole", value_sha256="ab")]
    outcome = await isthmus("run", "logs", "r1", "--value", "ab")
    assert (outcome.code, outcome.out) == (0, "\0whole")
    asked = canned.plane.asked[-1]
    assert isinstance(asked, StreamLogsRequest)
    assert (asked.value_sha256, len(asked.cursors)) == ("ab", 1)


async def test_lines_of_steps_that_write_side_by_side_stay_whole(canned: CannedServer, isthmus: Isthmus) -> None:
    out = LogStream.LOG_STREAM_STDOUT
    canned.plane.chunks = [
        LogChunk(stream=out, step_key="a", offset=0, data=b"one "),
        LogChunk(stream=out, step_key="b", offset=0, data=b"first\nunfinished"),
        LogChunk(stream=out, step_key="a", offset=4, data=b"two\n"),
    ]
    outcome = await isthmus("run", "logs", "r1", "--follow")
    assert outcome.out == "first\none two\nunfinished"
    await isthmus("run", "logs", "r1", "--step", "a")
    asked = canned.plane.asked[-1]
    assert isinstance(asked, StreamLogsRequest)
    assert asked.step_key == "a"


async def test_logs_go_on_file_by_file_after_a_broken_connection(canned: CannedServer, isthmus: Isthmus) -> None:
    out = LogStream.LOG_STREAM_STDOUT
    canned.plane.chunks = [
        LogChunk(stream=out, step_key="a", offset=0, data=b"1\n"),
        LogChunk(stream=out, offset=0, data=b"2\n"),
        LogChunk(stream=out, step_key="a", offset=2, data=b"3\n"),
    ]
    canned.plane.breaks = [2]
    outcome = await isthmus("run", "logs", "r1", "--follow")
    assert outcome.out == "1\n2\n3\n"
    resumed = canned.plane.asked[-1]
    assert isinstance(resumed, StreamLogsRequest)
    assert {(cursor.stream, cursor.step_key, cursor.offset) for cursor in resumed.cursors} == {
        (LogStream.LOG_STREAM_STDERR, "", 0),
        (out, "", 2),
        (out, "a", 2),
    }


async def test_missing_output_is_marked(canned: CannedServer, isthmus: Isthmus) -> None:
    cut = LogGap(reason=LogGap.REASON_TRUNCATED, told_until=9)
    gone = LogGap(reason=LogGap.REASON_REMOVED, told_until=12)
    canned.plane.chunks = [
        LogChunk(stream=LogStream.LOG_STREAM_STDOUT, offset=0, gap=cut),
        LogChunk(stream=LogStream.LOG_STREAM_STDERR, offset=12, gap=gone),
    ]
    outcome = await isthmus("run", "logs", "r1")
    assert outcome.out == ""
    assert "stdout after byte 9 is missing: the file was cut; it goes on from byte 0" in outcome.err
    assert "stderr after byte 12 is gone: the agent removed the files of this run" in outcome.err
    as_json = await isthmus("run", "logs", "r1", "-o", "json")
    assert [line["gap"] for line in as_json.documents] == [
        {"reason": "truncated", "told_until": 9},
        {"reason": "removed", "told_until": 12},
    ]


async def test_reexecute_asks_for_the_part_that_is_meant(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.runs = {"r1": a_run("r1", state=FAILED)}
    outcome = await isthmus("run", "reexecute", "r1", "--from-failure", "--tag", "why=again")
    assert (outcome.code, outcome.out) == (0, "r1\n")
    request = canned.plane.asked[-1]
    assert isinstance(request, ReexecuteRunRequest)
    assert (request.parent_run_id, request.strategy) == ("r1", ReexecuteRunRequest.STRATEGY_FROM_FAILURE)
    assert dict(request.tags) == {"why": "again"}
    assert request.run_id
    await isthmus("run", "reexecute", "r1", "--steps", "load,report")
    request = canned.plane.asked[-1]
    assert isinstance(request, ReexecuteRunRequest)
    assert list(request.step_keys) == ["load", "report"]
    assert (await isthmus("run", "reexecute", "r1", "--steps", "a", "--from-failure")).code == 2


async def test_validate_tells_each_fault_and_exits_with_2(canned: CannedServer, isthmus: Isthmus) -> None:
    assert (await isthmus("run", "validate", "etl", "nightly")).code == 0
    canned.plane.verdict.violations.add(field="run_config.ops", description="is missing")
    outcome = await isthmus("run", "validate", "etl", "nightly")
    assert outcome.code == 2
    assert "config ops: is missing" in outcome.out


async def test_terminate_and_wait_exits_with_3_when_the_run_is_canceled(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.runs["r1"] = a_run("r1", state=RunState.RUN_STATE_CANCELING)
    canned.plane.updates = told(end=a_run("r1", state=CANCELED))
    outcome = await isthmus("run", "terminate", "r1", "--grace", "2.5", "--wait")
    assert outcome.code == 3, outcome.err
    assert canned.plane.asked[1].grace_s == 2.5  # type: ignore[attr-defined]


async def test_the_server_may_be_named_before_the_command_and_usage_errors_exit_with_2(
    canned: CannedServer, isthmus: Isthmus
) -> None:
    nowhere = {"ISTHMUS_SERVER": "127.0.0.1:1"}
    outcome = await isthmus("--server", canned.address, "--deployment", "qa", "run", "list", environment=nowhere)
    assert outcome.code == 0, outcome.err
    assert canned.plane.asked[0].deployment == "qa"  # type: ignore[attr-defined]
    assert (await isthmus("run", "list", "--stat", "x")).code == 2


async def test_the_address_of_a_running_dev_is_found_from_a_folder_below(
    canned: CannedServer, isthmus: Isthmus, tmp_path: Path
) -> None:
    (tmp_path / ".isthmus").mkdir()
    facts = {"address": canned.address, "pid": os.getpid()}
    (tmp_path / ".isthmus" / "server.json").write_text(json.dumps(facts))
    outcome = await isthmus("agent", "list", environment={"ISTHMUS_SERVER": ""})
    assert (outcome.code, len(canned.plane.asked)) == (0, 1), outcome.err
