"""What is told of a location, and when a server that broke is tried again."""

import time

import pytest
from isthmus.v1 import code_server_pb2 as code_server
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.hosts.host import Server, ServerExit
from isthmus_agent.locations.report import LocationPhase, LocationStatus, report_event
from isthmus_agent.locations.telling import LocationTeller
from isthmus_agent.servers.held import Description
from isthmus_agent.servers.trouble import Breakdown, TroubleLog
from isthmus_agent.servers.wanted import KeeperTiming

TIMING = KeeperTiming(restart_min_s=1, restart_max_s=8, reload_min_s=10, reload_max_s=40)
FAILURE = telemetry.Failure(error_class="RuntimeError", message="broken")


def crash(served_s: float = 0.0) -> Breakdown:
    return Breakdown(FAILURE, is_load_failure=False, served_s=served_s)


def test_crashes_in_a_row_are_waited_out_longer_and_longer() -> None:
    log = TroubleLog(TIMING)
    waits = []
    for now in range(100, 600, 100):
        log.add(crash(), now=now)
        waits.append(log.may_start_at - now)
        log.mended()
    assert waits == [1, 2, 4, 8, 8]


def test_a_server_that_had_served_long_is_started_again_soon() -> None:
    log = TroubleLog(TIMING)
    for _ in range(4):
        log.add(crash(), now=100)
    log.add(crash(served_s=9), now=100)
    assert log.may_start_at == 101


def test_failed_imports_are_repeated_more_slowly() -> None:
    log = TroubleLog(TIMING)
    waits = []
    for _ in range(4):
        log.add(Breakdown(FAILURE, is_load_failure=True), now=0)
        waits.append(log.may_start_at)
    assert waits == [10, 20, 40, 40]


def test_another_wish_begins_anew() -> None:
    log = TroubleLog(TIMING)
    log.add(crash(), now=100)
    log.forget()
    assert (log.last, log.may_start_at) == (None, 0)


SNAPSHOT = telemetry.LocationSnapshot(jobs=[telemetry.JobSnapshot(name="nightly")])
DESCRIBED = Description.of(
    code_server.DescribeResponse(snapshot=SNAPSHOT, framework="dagster 1.13", python_version="3.11.7")
)
SERVING = LocationStatus("sales", 3, LocationPhase.SERVING, serving_generation=3)


@pytest.mark.parametrize(("known", "is_sent"), [("", True), ("other", True), (DESCRIBED.snapshot_hash, False)])
def test_a_snapshot_goes_only_where_it_is_not_held(*, known: str, is_sent: bool) -> None:
    report = report_event(SERVING, description=DESCRIBED, known_snapshot_hash=known).location_report
    assert report.phase == telemetry.LOCATION_PHASE_SERVING
    assert report.HasField("snapshot") is is_sent
    assert report.snapshot_hash == DESCRIBED.snapshot_hash
    assert (report.framework, report.python_version) == ("dagster 1.13", "3.11.7")


def test_a_failure_is_told_with_what_serves_meanwhile() -> None:
    status = LocationStatus("sales", 4, LocationPhase.FAILED, serving_generation=3, failure=FAILURE)
    event = report_event(status, description=DESCRIBED, known_snapshot_hash="")
    report = event.location_report
    assert (report.generation, report.serving_generation, report.failure) == (4, 3, FAILURE)
    assert not report.HasField("snapshot")
    assert not report.snapshot_hash
    assert event.message == "Location sales generation 4: failed (RuntimeError: broken)"


def test_progress_is_told_at_most_once_a_second_and_news_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[telemetry.LocationReport] = []
    teller = LocationTeller("sales", lambda _, event: told.append(event.location_report))
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)

    def tell(phase: LocationPhase, progress: str = "") -> None:
        status = LocationStatus("sales", 3, phase, progress=progress)
        teller.tell(status, description=None, known_snapshot_hash="")

    tell(LocationPhase.PULLING, "layers 1 of 7")
    tell(LocationPhase.PULLING, "layers 2 of 7")
    clock += 1.0
    tell(LocationPhase.PULLING, "layers 3 of 7")
    tell(LocationPhase.PULLING, "layers 3 of 7")
    tell(LocationPhase.STARTING)
    tell(LocationPhase.STARTING)
    assert [report.progress for report in told] == ["layers 1 of 7", "layers 3 of 7", ""]
    assert told[-1].phase == telemetry.LOCATION_PHASE_STARTING


def test_a_sleeping_location_is_told_with_what_it_defines() -> None:
    status = LocationStatus("sales", 3, LocationPhase.ASLEEP, serving_generation=3)
    report = report_event(status, description=DESCRIBED, known_snapshot_hash="").location_report
    assert (report.phase, report.serving_generation) == (telemetry.LOCATION_PHASE_ASLEEP, 3)
    assert report.snapshot_hash == DESCRIBED.snapshot_hash


def test_equal_definitions_have_equal_hashes() -> None:
    again = Description.of(code_server.DescribeResponse(snapshot=SNAPSHOT))
    assert again.snapshot_hash == DESCRIBED.snapshot_hash
    assert len(again.snapshot_hash) == 64


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ({"signal": 9, "is_out_of_memory": True}, "was killed because memory ran out"),
        ({"signal": 11}, "was killed by signal 11"),
        ({"exit_code": 0}, "exited with code 0"),
        ({}, "is gone"),
    ],
)
def test_an_exit_reads_as_a_sentence(ending: dict[str, int], text: str) -> None:
    server = Server("s", "sales", 1, "life", "unix:/run/x")
    exit_ = ServerExit(
        server,
        exit_code=ending.get("exit_code"),
        signal=ending.get("signal"),
        is_out_of_memory=bool(ending.get("is_out_of_memory")),
    )
    assert str(exit_) == text
