"""The example project is ordinary Dagster: each of its jobs ends as its README says, without Isthmus."""

from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, Definitions, ExecuteInProcessResult, build_sensor_context

PROJECT = Path(__file__).parents[2] / "examples/bike_share"

# Dagster warns of its own beta features; what its users see is no concern of ours.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(120)]


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Definitions:
    monkeypatch.syspath_prepend(str(PROJECT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIKE_SHARE_DATABASE", raising=False)
    from bike_share.definitions import defs

    return defs


def _run(project: Definitions, job: str, **options: Any) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        return _run_on(instance, project, job, **options)


def _run_on(instance: DagsterInstance, project: Definitions, job: str, **options: Any) -> ExecuteInProcessResult:
    return project.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False, **options)


def test_daily_trips_materializes_a_day_and_only_warns_of_the_riders(project: Definitions) -> None:
    result = _run(project, "daily_trips", partition_key="2026-03-01")
    assert result.success
    verdicts = {
        check.check_name: (check.passed, check.severity.value) for check in result.get_asset_check_evaluations()
    }
    assert verdicts == {"durations_make_sense": (True, "ERROR"), "riders_are_mostly_members": (False, "WARN")}
    assert len(result.get_asset_materialization_events()) == 8


def test_network_report_sees_the_days_that_are_there(project: Definitions) -> None:
    with DagsterInstance.ephemeral() as instance:
        assert _run_on(instance, project, "daily_trips", partition_key="2026-03-01").success
        result = _run_on(instance, project, "network_report")
    assert result.output_for_node("network_summary").startswith("# The network")
    assert sum(bikes for _, bikes in result.output_for_node("rebalancing_plan")) == 0


@pytest.mark.parametrize("job", ["simulate_day", "count_bikes", "ask_operator", "network_report"])
def test_job_succeeds(project: Definitions, job: str) -> None:
    assert _run(project, job).success


def test_operator_answers_on_the_retry(project: Definitions) -> None:
    events = [event.event_type_value for event in _run(project, "ask_operator").all_events]
    assert events.count("STEP_UP_FOR_RETRY") == 1
    assert events.count("STEP_RESTARTED") == 1


def test_repair_fails_with_its_cause(project: Definitions) -> None:
    result = _run(project, "repair_bike")
    assert not result.success
    [failure] = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    names = []
    while error is not None:
        names.append(error.cls_name)
        error = error.cause
    assert names[-2:] == ["MissingPartError", "KeyError"]


def test_inbox_asks_for_each_file_once(project: Definitions, tmp_path: Path) -> None:
    inbox = tmp_path / "data/inbox"
    inbox.mkdir(parents=True)
    (inbox / "remarks.txt").write_text("good bikes\nhard seats\n")
    sensor = project.resolve_sensor_def("inbox")
    first = sensor.evaluate_tick(build_sensor_context(definitions=project))
    assert first.run_requests is not None
    [request] = first.run_requests
    assert _run(project, "import_file", run_config=request.run_config).output_for_node("import_remarks") == 2
    second = sensor.evaluate_tick(build_sensor_context(definitions=project, cursor=first.cursor))
    assert not second.run_requests
