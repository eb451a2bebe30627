"""What a run tells, for every shape of job."""

from collections.abc import Callable
from pathlib import Path

import pytest
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.definitions.port import Definitions, RunPlace
from support_code_server import Load, bodies, execute, of_body, run_request


def steps(events: list[pb.Event], body: str) -> list[str]:
    return [event.step_key for event in of_body(events, body)]


def test_a_run_begins_with_its_start_and_ends_with_its_end(jobs: Definitions) -> None:
    events = execute(jobs, run_request("smallest"))
    assert bodies(events)[0] == "run_started"
    assert bodies(events)[-1] == "run_succeeded"
    assert list(events[0].run_started.step_keys) == ["one"]
    assert bodies(events).count("run_succeeded") == 1
    assert [body for body in bodies(events) if body.startswith("step")] == [
        "step_started",
        "step_output",
        "step_succeeded",
    ]
    assert of_body(events, "step_output")[0].step_output.is_type_check_ok
    assert all(event.HasField("occurred_at") for event in events)


def test_a_process_executes_one_run_after_another(jobs: Definitions) -> None:
    first, second = (execute(jobs, run_request("smallest", run_id=name)) for name in ("r1", "r2"))
    assert bodies(first) == bodies(second)


def test_nested_steps_and_inputs(jobs: Definitions) -> None:
    events = execute(jobs, run_request("nested"))
    assert steps(events, "step_succeeded") == ["one", "outer.add_one", "outer.inner.add_one", "last"]
    loaded = of_body(events, "input_loaded")[0].input_loaded
    assert (loaded.input_name, loaded.manager_key, loaded.upstream_step_key) == ("number", "io_manager", "one")


def test_an_op_selection_executes_a_part(jobs: Definitions) -> None:
    events = execute(jobs, run_request("nested", ops=["one", "outer.add_one"]))
    assert steps(events, "step_succeeded") == ["one", "outer.add_one"]


def test_dynamic_outputs_have_mapping_keys(jobs: Definitions) -> None:
    events = execute(jobs, run_request("dynamic"))
    mapped = [event.step_output.mapping_key for event in of_body(events, "step_output")]
    assert [key for key in mapped if key] == ["part_0", "part_1", "part_2"]
    assert {"add_one[part_0]", "add_one[part_1]", "add_one[part_2]", "total"} <= set(steps(events, "step_succeeded"))


def test_retries_are_counted(jobs: Definitions) -> None:
    events = execute(jobs, run_request("retried"))
    assert events[-1].HasField("run_succeeded")
    flaky = [event for event in events if event.step_key == "flaky"]
    assert [body for body in bodies(flaky) if body in ("step_started", "step_up_for_retry", "step_restarted")] == [
        "step_started",
        "step_up_for_retry",
        "step_restarted",
        "step_up_for_retry",
        "step_restarted",
    ]
    assert [event.step_restarted.retry_number for event in of_body(flaky, "step_restarted")] == [1, 2]
    by_policy = [event for event in events if event.step_key == "by_policy"]
    retry = of_body(by_policy, "step_up_for_retry")[0].step_up_for_retry
    assert (retry.failure.error_class, retry.failure.message) == ("RuntimeError", "first try")


def test_an_executor_whose_retries_are_off_keeps_them_off(jobs: Definitions) -> None:
    events = execute(jobs, run_request("without_retries"))
    assert steps(events, "step_failed") == ["by_policy"]
    assert not of_body(events, "step_up_for_retry")


def test_the_executors_own_config_is_accepted_and_reaches_the_retries(jobs: Definitions) -> None:
    retries: dict[str, object] = {"execution": {"config": {"retries": {"disabled": {}}}}}
    events = execute(jobs, run_request("retried", config=retries))
    assert steps(events, "step_failed")


def test_a_failure_tells_exception_cause_and_what_was_skipped(jobs: Definitions) -> None:
    events = execute(jobs, run_request("failing"))
    failed = of_body(events, "step_failed")[0]
    assert failed.step_key == "never"
    failure = failed.step_failed.failure
    assert (failure.error_class, failure.message) == ("ValueError", "outer")
    assert failure.cause.error_class == "KeyError"
    assert any("jobs.py" in frame for frame in failure.stack)
    assert "skipped" not in steps(events, "step_started")
    end = events[-1].run_failed
    assert end.reason == pb.RUN_REASON_USER_ERROR
    assert (end.failure.error_class, end.failure.message) == ("ValueError", "outer")
    assert end.step_key == "never"


@pytest.mark.parametrize(
    ("asked", "steps_of_it"),
    [
        (["outer.add_one+"], ["outer.add_one", "outer.inner.add_one"]),
        (["*last"], ["one", "outer.add_one", "outer.inner.add_one", "last"]),
        (["one", "+last"], ["one", "outer.inner.add_one", "last"]),
    ],
)
def test_steps_are_selected_in_dagsters_language(jobs: Definitions, asked: list[str], steps_of_it: list[str]) -> None:
    whole = execute(jobs, run_request("nested", run_id="whole"))
    request = run_request("nested", run_id="again")
    request.step_keys.extend(asked)
    request.parent_run_id = request.root_run_id = "whole"
    past = request.past_runs.add(run_id="whole")
    for event in of_body(whole, "step_output"):
        past.outputs.add(step_key=event.step_key, output_name=event.step_output.output_name)
    events = execute(jobs, request)
    assert events[-1].HasField("run_succeeded")
    assert steps(events, "step_succeeded") == steps_of_it


def test_a_raised_failure_keeps_description_and_metadata(jobs: Definitions) -> None:
    events = execute(jobs, run_request("failing_with_metadata"))
    failure = of_body(events, "step_failed")[0].step_failed.failure
    assert failure.description == "too few rows"
    # Dagster's own word for a failure that is raised on purpose.
    assert (failure.label, failure.source) == ("intentional-failure", "FRAMEWORK_ERROR")
    metadata = {entry.label: entry.value for entry in failure.metadata}
    assert metadata["rows"].int == 3
    assert metadata["where"].url == "https://example.com"


def test_hooks_are_told(jobs: Definitions) -> None:
    events = execute(jobs, run_request("hooked"))
    assert [event.hook_completed.hook_name for event in of_body(events, "hook_completed")] == ["on_success"]
    assert [event.hook_skipped.hook_name for event in of_body(events, "hook_skipped")] == ["on_failure"]
    failing = execute(jobs, run_request("hooked_failing"))
    failed = of_body(failing, "hook_failed")[0].hook_failed
    assert (failed.failure.error_class, failed.failure.message) == ("RuntimeError", "the hook itself fails")


def test_log_lines_keep_level_and_step(jobs: Definitions) -> None:
    events = execute(jobs, run_request("logging_job"))
    lines = [event for event in of_body(events, "log_message") if event.message in ("fine", "careful", "wrong")]
    assert [(line.message, line.log_message.level, line.step_key) for line in lines] == [
        ("fine", 10, "logs"),
        ("careful", 30, "logs"),
        ("wrong", 40, "logs"),
    ]


def test_resources_work_and_tell(jobs: Definitions) -> None:
    config = {"resources": {"store": {"config": {"folder": "there"}}}}
    events = execute(jobs, run_request("with_resource", config=config))
    assert events[-1].HasField("run_succeeded")
    phases = [event.resource_event.phase for event in of_body(events, "resource_event")]
    assert pb.ResourceEvent.PHASE_SUCCEEDED in phases


def test_a_resource_that_fails_fails_the_run_with_its_exception(jobs: Definitions) -> None:
    events = execute(jobs, run_request("with_bad_resource"))
    assert events[-1].HasField("run_failed"), bodies(events)
    phases = [event.resource_event for event in of_body(events, "resource_event")]
    failed = next(phase for phase in phases if phase.phase == pb.ResourceEvent.PHASE_FAILED)
    assert (failed.failure.error_class, failed.failure.message) == ("OSError", "cannot connect")


def test_a_question_that_nobody_answers_is_an_error_that_says_so(jobs: Definitions) -> None:
    events = execute(jobs, run_request("asking"))
    failure = of_body(events, "step_failed")[0].step_failed.failure
    assert failure.error_class == "InstanceUnavailableError"
    assert "asked for runs and did not answer: this process was not started by a code server" in failure.message


def test_expectations_and_branches(jobs: Definitions) -> None:
    result = of_body(execute(jobs, run_request("expecting")), "expectation_result")[0].expectation_result
    assert (result.is_passed, result.label, result.description) == (False, "positive", "is it?")
    assert steps(execute(jobs, run_request("branching")), "step_skipped") == ["not_taken"]


def test_a_partitions_config_is_used_where_none_is_given(jobs: Definitions) -> None:
    events = execute(jobs, run_request("partitioned_by_config", partition="x"))
    assert events[-1].HasField("run_succeeded")


def test_an_interrupted_run_that_was_canceled_writes_no_end(jobs: Definitions) -> None:
    events: list[pb.Event] = []
    jobs.prepare(run_request("hooked_failing")).execute(events.append, place=RunPlace(is_cancel_requested=lambda: True))
    assert not {"run_failed", "run_canceled", "run_succeeded"} & set(bodies(events))


def test_a_run_that_succeeds_although_it_was_canceled_has_succeeded(jobs: Definitions) -> None:
    events: list[pb.Event] = []
    jobs.prepare(run_request("smallest")).execute(events.append, place=RunPlace(is_cancel_requested=lambda: True))
    assert events[-1].HasField("run_succeeded")


# ---------------------------------------------------------------------------------------------------------- assets


def test_assets_and_checks_are_planned_and_made(assets: Definitions) -> None:
    events = execute(assets, run_request("numbers"))
    planned = ["/".join(event.asset_planned.asset.path) for event in of_body(events, "asset_planned")]
    assert planned == ["source", "summed"]
    assert {event.asset_check_planned.check_name for event in of_body(events, "asset_check_planned")} == {
        "is_positive",
        "is_small",
    }
    made = {
        "/".join(e.asset_materialized.asset.path): e.asset_materialized for e in of_body(events, "asset_materialized")
    }
    metadata = {entry.label: entry.value for entry in made["summed"].metadata}
    assert metadata["sum"].int == 6
    assert metadata["big"].big_int == str(2**70)
    assert metadata["nothing"].null
    assert made["summed"].tags["dagster/data_version"] == "6"


def test_checks_tell_their_result(assets: Definitions) -> None:
    events = execute(assets, run_request("numbers"))
    checks = {
        e.asset_check_evaluated.check_name: e.asset_check_evaluated for e in of_body(events, "asset_check_evaluated")
    }
    positive, small = checks["is_positive"], checks["is_small"]
    assert (positive.is_passed, positive.is_blocking) == (True, True)
    assert (small.is_passed, small.is_blocking, small.description) == (False, False, "it is not")
    assert small.severity == pb.CHECK_SEVERITY_WARN
    assert positive.metadata[0].value.int == 6


@pytest.mark.parametrize("selected", [("source", "summed"), ()])
def test_assets_are_made_without_their_checks(assets: Definitions, selected: tuple[str, ...]) -> None:
    request = run_request("numbers", assets=selected)
    request.has_check_selection = True
    events = execute(assets, request)
    made = {"/".join(e.asset_materialized.asset.path) for e in of_body(events, "asset_materialized")}
    assert made == (set(selected) or {"source", "summed"})
    assert not [*of_body(events, "asset_check_planned"), *of_body(events, "asset_check_evaluated")]


def test_selected_checks_alone_are_executed(assets: Definitions) -> None:
    execute(assets, run_request("numbers", run_id="before"))
    events = execute(assets, run_request("numbers", checks=[("summed", "is_small")]))
    assert [event.asset_check_evaluated.check_name for event in of_body(events, "asset_check_evaluated")] == [
        "is_small"
    ]
    assert not of_body(events, "asset_materialized")


def test_an_asset_loads_what_an_earlier_run_stored_though_nobody_tells_its_version(assets: Definitions) -> None:
    execute(assets, run_request("numbers", assets=["source"], run_id="earlier"))
    events = execute(assets, run_request("numbers", assets=["summed"], run_id="later"))
    assert events[-1].HasField("run_succeeded"), events[-1]
    made = of_body(events, "asset_materialized")[0].asset_materialized
    assert "dagster/input_data_version/source" in made.tags
    assert made.tags["dagster/input_event_pointer/source"] == "NULL"


def test_stored_values_outlive_the_process_that_stored_them(load: Load) -> None:
    execute(load(module="assets"), run_request("numbers", assets=["source"]))
    again = load(module="assets")
    assert execute(again, run_request("numbers", assets=["summed"]))[-1].HasField("run_succeeded")


def test_values_go_below_dagster_home_where_it_is_set(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster-home"))
    execute(load(module="assets"), run_request("numbers", assets=["source"]))
    assert (tmp_path / "dagster-home" / "storage" / "source").exists()


@pytest.mark.parametrize(
    ("job", "partition", "asset"),
    [
        ("letters", "b", "by_letter"),
        ("days", "2024-01-02", "by_day"),
        ("both", "2024-01-01|a", "by_both"),
        ("customers", "acme", "by_customer"),
    ],
)
def test_partitions_reach_code_and_events(assets: Definitions, job: str, partition: str, asset: str) -> None:
    events = execute(assets, run_request(job, partition=partition))
    assert events[-1].HasField("run_succeeded"), events[-1]
    assert of_body(events, "asset_planned")[0].asset_planned.partition == partition
    made = next(e.asset_materialized for e in of_body(events, "asset_materialized") if e.step_key == asset)
    assert made.partition == partition


def test_partitions_of_multi_partitions_are_tags_as_dagster_sets_them(assets: Definitions) -> None:
    events = execute(assets, run_request("both", partition="2024-01-02|b"))
    assert "2024-01-02/b" in [event.message for event in of_body(events, "log_message")]


def test_observations_and_materializations_that_ops_log(assets: Definitions) -> None:
    events = execute(assets, run_request("observing"))
    observed = of_body(events, "asset_observed")[0].asset_observed
    assert ("/".join(observed.asset.path), observed.partition) == ("elsewhere", "p")
    made = of_body(events, "asset_materialized")[0].asset_materialized
    assert (made.description, dict(made.tags)["t"]) == ("made", "u")


def test_an_observable_source_is_observed(assets: Definitions) -> None:
    events = execute(assets, run_request("__ASSET_JOB", assets=["watched"]))
    assert [e.asset_observed.tags["dagster/data_version"] for e in of_body(events, "asset_observed")] == ["v1"]


def test_an_unexpected_exception_of_the_framework_ends_the_run_as_a_fault(jobs: Definitions) -> None:
    told: list[pb.Event] = []

    def take(limit: int) -> Callable[[pb.Event], None]:
        def sink(event: pb.Event) -> None:
            if len(told) == limit and not event.HasField("run_failed"):
                raise OSError(28, "No space left on device")
            told.append(event)

        return sink

    jobs.prepare(run_request("smallest")).execute(take(3), place=RunPlace(is_cancel_requested=lambda: False))
    assert told[-1].HasField("run_failed")
