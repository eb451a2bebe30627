"""Our event stream says what Dagster's own `execute_in_process` says of the same job."""

import importlib
from collections import Counter
from typing import Any

import dagster as dg
import pytest
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.definitions.port import Definitions
from support_code_server import execute, run_request

#: Event types of Dagster that our contract tells in another way, or not at all in a run's own stream.
_NOT_COMPARED = {
    "PIPELINE_START",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_CHECK_EVALUATION_PLANNED",
    "ENGINE_EVENT",
    "LOGS_CAPTURED",
}

#: Of how many events the name, the step, and what it is about were this.
Told = Counter[tuple[Any, str, str]]

_NAMES = {
    "STEP_START": "step_started",
    "STEP_SUCCESS": "step_succeeded",
    "STEP_FAILURE": "step_failed",
    "STEP_SKIPPED": "step_skipped",
    "STEP_UP_FOR_RETRY": "step_up_for_retry",
    "STEP_RESTARTED": "step_restarted",
    "STEP_INPUT": "step_input",
    "STEP_OUTPUT": "step_output",
    "HANDLED_OUTPUT": "output_handled",
    "LOADED_INPUT": "input_loaded",
    "ASSET_MATERIALIZATION": "asset_materialized",
    "ASSET_OBSERVATION": "asset_observed",
    "ASSET_CHECK_EVALUATION": "asset_check_evaluated",
    "HOOK_COMPLETED": "hook_completed",
    "HOOK_ERRORED": "hook_failed",
    "HOOK_SKIPPED": "hook_skipped",
    "STEP_EXPECTATION_RESULT": "expectation_result",
    "RESOURCE_INIT_STARTED": "resource_event",
    "RESOURCE_INIT_SUCCESS": "resource_event",
    "RESOURCE_INIT_FAILURE": "resource_event",
    "PIPELINE_SUCCESS": "run_succeeded",
    "PIPELINE_FAILURE": "run_failed",
}


def theirs(module: str, job: str, partition_key: str | None = None) -> tuple[Told, bool]:
    loaded = importlib.import_module(module)
    for name in getattr(loaded, "TRIES", {}):
        loaded.TRIES[name] = 0
    resolved = loaded.defs.get_repository_def().get_job(job)
    instance = dg.DagsterInstance.ephemeral()
    result = resolved.execute_in_process(instance=instance, raise_on_error=False, partition_key=partition_key)
    entries = instance.all_logs(result.run_id)
    for name in getattr(loaded, "TRIES", {}):
        loaded.TRIES[name] = 0
    told: Told = Counter(
        (_NAMES[entry.dagster_event.event_type_value], entry.step_key or "", label(entry.dagster_event))
        for entry in entries
        if entry.dagster_event is not None and entry.dagster_event.event_type_value not in _NOT_COMPARED
    )
    return told, result.success


def label(event: dg.DagsterEvent) -> str:
    if event.event_type_value in ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION"):
        return f"{event.asset_key and event.asset_key.to_user_string()}@{event.partition or ''}"
    if event.event_type_value == "STEP_OUTPUT":
        return f"{event.step_output_data.output_name}:{event.step_output_data.mapping_key or ''}"
    if event.event_type_value == "ASSET_CHECK_EVALUATION":
        data: Any = event.event_specific_data
        return f"{data.check_name}={data.passed}"
    return ""


def ours(events: list[pb.Event]) -> tuple[Told, bool]:
    compared = set(_NAMES.values())
    told: Told = Counter(
        (event.WhichOneof("body"), event.step_key, our_label(event))
        for event in events
        if event.WhichOneof("body") in compared
    )
    return told, events[-1].HasField("run_succeeded")


def our_label(event: pb.Event) -> str:
    match event.WhichOneof("body"):
        case "asset_materialized":
            return f"{'/'.join(event.asset_materialized.asset.path)}@{event.asset_materialized.partition}"
        case "asset_observed":
            return f"{'/'.join(event.asset_observed.asset.path)}@{event.asset_observed.partition}"
        case "step_output":
            return f"{event.step_output.output_name}:{event.step_output.mapping_key}"
        case "asset_check_evaluated":
            return f"{event.asset_check_evaluated.check_name}={event.asset_check_evaluated.is_passed}"
    return ""


def without_resources(told: Told) -> Told:
    """Leave out which step a resource is initialized for: it depends on the process's earlier runs."""
    return Counter({key: count for key, count in told.items() if key[0] != "resource_event"})


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
        "hooked_failing",
        "with_resource",
        "with_bad_resource",
        "expecting",
        "branching",
    ],
)
def test_op_jobs_tell_the_same(jobs: Definitions, job: str) -> None:
    expected, is_success = theirs("jobs", job)
    told, is_our_success = ours(execute(jobs, run_request(job)))
    assert without_resources(told) == without_resources(expected)
    assert is_our_success == is_success


@pytest.mark.parametrize(
    ("job", "partition"),
    [("numbers", None), ("letters", "a"), ("both", "2024-01-03|b"), ("observing", None)],
)
def test_asset_jobs_tell_the_same(assets: Definitions, job: str, partition: str | None) -> None:
    expected, is_success = theirs("assets", job, partition_key=partition)
    told, is_our_success = ours(execute(assets, run_request(job, partition=partition or "")))
    assert without_resources(told) == without_resources(expected)
    assert is_our_success == is_success
