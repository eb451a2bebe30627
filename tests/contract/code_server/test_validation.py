"""A request that does not fit is refused with every fault in it, each with its path."""

import pytest
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_code_server.definitions.port import Definitions
from isthmus_code_server.errors import InvalidRequestError
from support_code_server import execute, run_request


def violations(definitions: Definitions, request: RunRequest) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        definitions.prepare(request)
    return {violation.field: violation.description for violation in caught.value.violations}


def test_a_valid_request_is_accepted(jobs: Definitions) -> None:
    config = {"ops": {"load": {"config": {"limit": 1}}, "other": {"config": {"limit": 2}}}}
    assert jobs.prepare(run_request("configured", config=config)) is not None


def test_an_unknown_job_is_named_with_those_that_are_there(jobs: Definitions) -> None:
    found = violations(jobs, run_request("nobody"))
    assert list(found) == ["job_name"]
    assert "smallest" in found["job_name"]


def test_every_config_error_has_its_path(jobs: Definitions) -> None:
    config = {
        "ops": {"load": {"config": {"limit": "many", "extra": 1}}, "other": {"config": {}}},
        "loggers": {"console": {"config": {"log_level": 5}}},
    }
    found = violations(jobs, run_request("configured", config=config))
    assert {
        "run_config.ops.load.config.limit",
        "run_config.ops.load.config.extra",
        "run_config.ops.other.config.limit",
        "run_config.loggers.console.config.log_level",
    } <= set(found)


def test_missing_config_is_named_by_the_outermost_field_that_is_missing(jobs: Definitions) -> None:
    assert list(violations(jobs, run_request("configured"))) == ["run_config.ops"]


@pytest.mark.parametrize("text", ["{", "[1]", "5", '"ops"'])
def test_config_that_is_no_json_object_is_refused(jobs: Definitions, text: str) -> None:
    assert list(violations(jobs, run_request("configured", config=text))) == ["run_config"]


def test_an_op_selection_that_matches_nothing_is_refused(jobs: Definitions) -> None:
    assert list(violations(jobs, run_request("nested", ops=["nobody"]))) == ["op_selection"]


def test_ops_and_assets_are_not_selected_together(assets: Definitions) -> None:
    found = violations(assets, run_request("numbers", ops=["source"], assets=["source"]))
    assert list(found) == ["op_selection"]


def test_each_unknown_asset_and_check_is_named(assets: Definitions) -> None:
    request = run_request("numbers", assets=["source", "nobody", "by_letter"], checks=[("summed", "no_check")])
    assert set(violations(assets, request)) == {
        "asset_selection.nobody",
        "asset_selection.by_letter",
        "check_selection.summed.no_check",
    }


def test_faults_of_config_and_selection_are_told_together(assets: Definitions) -> None:
    request = run_request("numbers", assets=["nobody"], config="no json")
    assert set(violations(assets, request)) == {"asset_selection.nobody", "run_config"}


@pytest.mark.parametrize(
    ("job", "partition", "told"),
    [
        ("letters", "z", "there are 'a' and 'b'"),
        ("letters", "A", "there are 'a' and 'b'"),
        ("days", "2023-12-31", "they go from '2024-01-01' to '2024-01-31'"),
        ("days", "2024-02-01", "they go from '2024-01-01' to '2024-01-31'"),
        ("days", "yesterday", "they go from '2024-01-01' to '2024-01-31'"),
        ("both", "2024-01-01", "write one key of each dimension, as in 'DAY|LETTER'"),
        ("both", "2024-01-01|z", "of letter there is no 'z', there are 'a' and 'b'"),
        ("both", "a|2024-01-01", "of day there is no 'a', they go from '2024-01-01' to '2024-01-31'"),
        ("numbers", "a", "is not partitioned"),
    ],
)
def test_a_partition_that_is_not_there_is_refused_with_those_that_are(
    assets: Definitions, job: str, partition: str, told: str
) -> None:
    found = violations(assets, run_request(job, partition=partition))
    assert list(found) == ["partition_key"]
    assert told in found["partition_key"]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("lst", "did you mean 'last'?"),
        ("outer.addone+", "did you mean 'outer.add_one' or "),
        ("z", "there are 'last', "),
    ],
)
def test_a_step_that_is_not_there_is_refused_with_those_that_are_near(jobs: Definitions, step: str, told: str) -> None:
    request = run_request("nested")
    request.step_keys.append(step)
    found = violations(jobs, request)
    assert list(found) == ["step_keys"]
    assert told in found["step_keys"]


@pytest.mark.parametrize(
    ("job", "partition"),
    [("letters", "a"), ("days", "2024-01-31"), ("both", "2024-01-01|a"), ("customers", "acme")],
)
def test_a_partition_that_is_there_is_accepted(assets: Definitions, job: str, partition: str) -> None:
    assert assets.prepare(run_request(job, partition=partition)) is not None


def test_partitioned_assets_run_without_a_key_as_far_as_their_code_does_without_one(assets: Definitions) -> None:
    events = execute(assets, run_request("letters", assets=["by_letter"]))
    assert events[-1].WhichOneof("body") in ("run_succeeded", "run_failed")
    if events[-1].HasField("run_failed"):
        assert "partition" in events[-1].run_failed.failure.message


def test_a_partition_may_come_as_a_tag(assets: Definitions) -> None:
    assert assets.prepare(run_request("letters", tags={"dagster/partition": "a"})) is not None
    bad = violations(assets, run_request("letters", tags={"dagster/partition": "z"}))
    assert list(bad) == ["partition_key"]


def test_config_and_partition_faults_are_told_together(jobs: Definitions) -> None:
    request = run_request("partitioned_by_config", partition="q", config={"ops": {"nobody": {}}})
    assert "partition_key" in violations(jobs, request)
    assert any(field.startswith("run_config") for field in violations(jobs, request))
