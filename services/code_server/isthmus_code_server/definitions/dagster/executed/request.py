"""Checks a run request against the definitions and resolves it to what Dagster executes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import FieldViolation

from isthmus_code_server.definitions.dagster.described.partitions import is_valid_key, keys_text
from isthmus_code_server.definitions.dagster.executed.config_violations import ROOT, config_violations
from isthmus_code_server.definitions.dagster.executed.reexecution import known_state
from isthmus_code_server.definitions.dagster.executed.selection import (
    Selection,
    selection_of,
    selection_violations,
    subset_of,
)
from isthmus_code_server.definitions.dagster.values.near import meant
from isthmus_code_server.errors import InvalidRequestError

if TYPE_CHECKING:
    from dagster import JobDefinition
    from dagster._core.execution.plan.plan import ExecutionPlan

PARTITION_TAG = "dagster/partition"
#: What stands before or after a step's key in a selection: so many levels above or below it.
_LEVELS = "*+"


@dataclass(frozen=True, kw_only=True)
class ResolvedRequest:
    """A request that fits the definitions."""

    run_id: str
    job: "JobDefinition"
    selection: Selection
    run_config: Mapping[str, Any]
    tags: Mapping[str, str]
    plan: "ExecutionPlan"
    #: The steps that were asked for; empty for all.
    step_keys: tuple[str, ...] = ()
    #: The run that this one re-executes, and the first of the chain; empty for none.
    parent_run_id: str = ""
    root_run_id: str = ""
    #: Whether steps claim slots of their pools.
    claims_slots: bool = False


def resolve(request: RunRequest, *, jobs: "Mapping[str, JobDefinition]") -> ResolvedRequest:
    """Check a request and resolve it.

    Raises:
        InvalidRequestError: With every violation that could be found: what stands on something that is wrong already
            cannot be checked.
    """
    job = _job(request, jobs)
    run_config, violations = _run_config(request)
    selection = selection_of(request, job=job)
    selection_faults = selection_violations(selection, job=job)
    violations += selection_faults
    subset = None if selection_faults else _subset(job, selection, violations)
    key = request.partition_key or request.tags.get(PARTITION_TAG, "")
    if subset is not None:
        violations += _key_violations(subset, partitions_of(subset), key) if key else []
    if subset is None or run_config is None:
        raise InvalidRequestError(violations)
    is_key_good = not any(violation.field == "partition_key" for violation in violations)
    if key and is_key_good and not run_config:
        run_config = dict(subset.get_run_config_for_partition_key(key))
    plan = _plan(subset, run_config, violations, request=request)
    if violations or plan is None:
        raise InvalidRequestError(violations)
    tags = _tags(request, subset, key)
    return ResolvedRequest(
        run_id=request.run.run_id,
        job=subset,
        selection=selection,
        run_config=run_config,
        tags=tags,
        plan=plan,
        step_keys=tuple(plan.step_keys_to_execute) if request.step_keys else (),
        parent_run_id=request.parent_run_id,
        root_run_id=request.root_run_id or request.parent_run_id,
        claims_slots=request.claims_slots,
    )


def _job(request: RunRequest, jobs: "Mapping[str, JobDefinition]") -> "JobDefinition":
    job = jobs.get(request.job_name)
    if job is None:
        names = ", ".join(sorted(jobs)) or "none"
        text = f"There is no job {request.job_name!r} here: choose one of {names}."
        raise InvalidRequestError([FieldViolation(field="job_name", description=text)])
    return job


def _run_config(request: RunRequest) -> tuple[dict[str, Any] | None, list[FieldViolation]]:
    if not request.run_config_json:
        return {}, []
    try:
        value = json.loads(request.run_config_json)
    except json.JSONDecodeError as error:
        text = f"The run config is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        return None, [FieldViolation(field=ROOT, description=text)]
    if not isinstance(value, dict):
        text = f"The run config must be a JSON object, not a {type(value).__name__}."
        return None, [FieldViolation(field=ROOT, description=text)]
    return value, []


def _subset(job: "JobDefinition", selection: Selection, violations: list[FieldViolation]) -> "JobDefinition | None":
    from dagster import DagsterError

    try:
        return subset_of(job, selection=selection)
    except DagsterError as error:
        field = "op_selection" if selection.ops else "asset_selection"
        violations.append(FieldViolation(field=field, description=str(error)))
        return None


def _key_violations(job: "JobDefinition", partitions: list[Any], key: str) -> list[FieldViolation]:
    if not partitions:
        text = f"Job {job.name!r} is not partitioned: leave the partition key out."
        return [FieldViolation(field="partition_key", description=text)]
    refusing = next((one for one in partitions if not is_valid_key(one, key=key)), None)
    if refusing is not None:
        text = f"There is no partition {key!r}: {keys_text(refusing, key=key)}."
        return [FieldViolation(field="partition_key", description=text)]
    return []


def partitions_of(job: "JobDefinition") -> list[Any]:
    """Return the distinct partitions definitions of a job and of the assets that it executes."""
    found = [job.partitions_def] if job.partitions_def is not None else []
    for partitions in _asset_partitions(job):
        if partitions not in found:
            found.append(partitions)
    return found


def _asset_partitions(job: "JobDefinition") -> list[Any]:
    graph = job.asset_layer.asset_graph
    of_assets = (graph.get(key).partitions_def for key in sorted(job.asset_layer.executable_asset_keys))
    return [partitions for partitions in of_assets if partitions is not None]


def _plan(
    job: "JobDefinition", run_config: Mapping[str, Any], violations: list[FieldViolation], *, request: RunRequest
) -> "ExecutionPlan | None":
    from dagster import DagsterError, DagsterInvalidConfigError
    from dagster._core.errors import DagsterExecutionStepNotFoundError
    from dagster._core.execution.api import create_execution_plan

    try:
        if any(key.strip(_LEVELS) != key for key in request.step_keys):
            request = _with_selected_steps(request, plan=create_execution_plan(job, run_config=run_config))
        return create_execution_plan(
            job,
            run_config=run_config,
            step_keys_to_execute=list(request.step_keys) or None,
            known_state=known_state(request),
        )
    except DagsterExecutionStepNotFoundError as error:
        violations += _step_violations(error.step_keys, job=job, run_config=run_config)
    except DagsterInvalidConfigError as error:
        violations.extend(config_violations(error.errors))
    except DagsterError as error:
        # A config mapping or a partitioned config that raised: the config is what has to change.
        violations.append(FieldViolation(field=ROOT, description=str(error)))
    return None


def _step_violations(
    unknown: Iterable[str], *, job: "JobDefinition", run_config: Mapping[str, Any]
) -> list[FieldViolation]:
    """Name each step that there is not, with what may have been meant."""
    from dagster._core.execution.api import create_execution_plan

    known = sorted(create_execution_plan(job, run_config=run_config).get_all_step_deps())
    texts = [f"There is no step {key!r}: {meant(key.strip(_LEVELS), known=known)}" for key in unknown]
    return [FieldViolation(field="step_keys", description=text.rstrip(": ")) for text in texts]


def _with_selected_steps(request: RunRequest, *, plan: "ExecutionPlan") -> RunRequest:
    """Return the request with the steps that its selections, as in "clean+", mean by the whole plan."""
    from dagster._core.selector.subset_selector import parse_step_selection

    selected = parse_step_selection(plan.get_all_step_deps(), list(request.step_keys))
    named = RunRequest()
    named.CopyFrom(request)
    named.step_keys[:] = sorted(selected)
    return named


def _tags(request: RunRequest, job: "JobDefinition", key: str) -> dict[str, str]:
    """Merge the job's tags, the partition's and the request's, the last winning."""
    return {**job.run_tags, **(_partition_tags(job, key) if key else {}), **request.tags}


def _partition_tags(job: "JobDefinition", key: str) -> Mapping[str, str]:
    if job.partitioned_config is not None:
        return job.partitioned_config.get_tags_for_partition_key(key, job.name)
    tags: Mapping[str, str] = partitions_of(job)[0].get_tags_for_partition_key(key)
    return tags
