"""`isthmus schedule …` as a process against a real gRPC server."""

from datetime import UTC, datetime

import pytest
from contract.cli.conftest import Isthmus
from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import Evaluation, Failure, LogLine
from support.canned import CannedServer


def stamp(hour: int, minute: int = 0) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(datetime(2026, 7, 1, hour, minute, tzinfo=UTC))
    return message


@pytest.fixture(autouse=True)
def nightly(canned: CannedServer) -> None:
    canned.plane.automations["nightly"] = api.Automation(
        deployment="default",
        location="etl",
        kind=api.AUTOMATION_KIND_SCHEDULE,
        name="nightly",
        is_running=True,
        cron_schedules=["0 0 * * *"],
        timezone="Europe/Berlin",
        job_names=["load"],
        next_at=stamp(22),
        catch_up=1,
        last_tick=api.Tick(at=stamp(1), status=api.TICK_STATUS_SKIPPED, skip_reason="nothing new"),
    )
    canned.plane.ticks = [
        api.Tick(
            id=7,
            at=stamp(22),
            status=api.TICK_STATUS_FAILED,
            attempts=1,
            began_at=stamp(22),
            ended_at=stamp(22, 1),
            failure=Failure(error_class="ValueError", message="no"),
            evaluation=Evaluation(log_lines=[LogLine(level=30, message="look", occurred_at=stamp(22))]),
        ),
        api.Tick(id=6, at=stamp(21), status=api.TICK_STATUS_SUCCESS, began_at=stamp(21), run_ids=["0123456789"]),
    ]


async def test_list_tells_what_runs_and_what_came_of_it(isthmus: Isthmus) -> None:
    outcome = await isthmus("schedule", "list")
    assert outcome.code == 0, outcome.err
    head, row = outcome.out.splitlines()
    assert head.split()[:5] == ["SCHEDULE", "LOCATION", "STATE", "CRON", "ZONE"]
    assert row.startswith("nightly   etl       RUNNING")
    for word in ("0 0 * * *", "Europe/Berlin", "SKIPPED", "nothing new"):
        assert word in row
    listed = (await isthmus("schedule", "list", "--json")).document
    assert listed[0]["last_tick"]["status"] == "SKIPPED"


async def test_show_tells_one_whole_with_its_last_ticks(isthmus: Isthmus) -> None:
    outcome = await isthmus("schedule", "show", "nightly")
    assert outcome.code == 0, outcome.err
    for word in ("Europe/Berlin", "(the code's default)", "FAILED", "01234567", "WARNING  look", "ValueError: no"):
        assert word in outcome.out


async def test_start_and_stop_say_who_decided(canned: CannedServer, isthmus: Isthmus) -> None:
    stopped = await isthmus("schedule", "stop", "nightly", environment={"USER": "ada", "LOGNAME": "ada"})
    assert "rests until it is started" in stopped.err
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.DecideAutomationRequest)
    assert asked.requested_by
    assert (asked.automation.deployment, asked.automation.kind) == ("default", api.AUTOMATION_KIND_SCHEDULE)
    started = await isthmus("schedule", "start", "nightly", "--location", "etl")
    assert "Schedule nightly runs; it is due next" in started.err


async def test_ticks_are_listed_by_status(canned: CannedServer, isthmus: Isthmus) -> None:
    outcome = await isthmus("schedule", "ticks", "nightly", "--status", "failed,success", "--limit", "5")
    assert [line.split()[3] for line in outcome.out.splitlines()[1:]] == ["FAILED", "SUCCESS"]
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.ListTicksRequest)
    assert (list(asked.statuses), asked.page_size) == ([api.TICK_STATUS_FAILED, api.TICK_STATUS_SUCCESS], 5)
    refused = await isthmus("schedule", "ticks", "nightly", "--status", "lost")
    assert (refused.code, "no status of a tick" in refused.err) == (2, True)


async def test_trial_tells_what_would_start(canned: CannedServer, isthmus: Isthmus) -> None:
    run = RunRequest(job_name="load", partition_key="2026-07-01", tags={"dagster/run_key": "k"})
    canned.plane.tested = api.TestedTick(at=stamp(22), status=api.TICK_STATUS_SUCCESS, runs=[run])
    outcome = await isthmus("schedule", "test", "nightly", "--at", "2026-07-01T22:00+00:00")
    assert outcome.code == 0, outcome.err
    assert "It would start 1 run:" in outcome.out
    assert "load  partition 2026-07-01  key k" in outcome.out
    asked = canned.plane.asked[-1]
    assert isinstance(asked, api.TestTickRequest)
    assert asked.at == stamp(22)
    canned.plane.tested = api.TestedTick(at=stamp(22), status=api.TICK_STATUS_FAILED, failure=Failure(message="no"))
    assert (await isthmus("schedule", "test", "nightly")).code == 1
    assert (await isthmus("schedule", "test", "nightly", "--at", "soon")).code == 2


async def test_preview_tells_times_by_the_schedules_clocks(isthmus: Isthmus) -> None:
    outcome = await isthmus("schedule", "preview", "nightly", "-n", "2")
    assert outcome.out.splitlines()[0] == "Thu 2026-07-02 00:00 CEST  (2026-07-01 22:00 UTC)"
    assert (await isthmus("schedule", "preview", "nightly", "--json")).document[0] == "2026-07-01T22:00:00Z"
