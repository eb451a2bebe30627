"""What the event log says of a run, as the facts that Dagster's log is written as; see README.md."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from isthmus.v1 import telemetry_pb2 as pb

Fact = dict[str, Any]


def facts(events: Sequence[pb.Event]) -> list[Fact]:
    """Return the facts of a history."""
    told = []
    for event in events:
        body = event.WhichOneof("body") or ""
        kind, row = _TABLE.get(body, (body, lambda _: {}))
        fact = {"event": kind, "step": event.step_key, **row(getattr(event, body))}
        if body == "log_message":
            fact["message"] = event.message
        if fact["event"] not in _LEFT_OUT:
            told.append(fact)
    return told


_LEFT_OUT = frozenset(
    {
        "ENGINE_EVENT",
        "LOGS_CAPTURED",
        "STEP_WORKER_STARTING",
        "STEP_WORKER_STARTED",
        "run_queued",
        "run_dispatched",
        "run_starting",
    }
)
_PHASES = {
    pb.ResourceEvent.PHASE_STARTED: "RESOURCE_INIT_STARTED",
    pb.ResourceEvent.PHASE_SUCCEEDED: "RESOURCE_INIT_SUCCESS",
    pb.ResourceEvent.PHASE_FAILED: "RESOURCE_INIT_FAILURE",
}
_SEVERITIES = {pb.CHECK_SEVERITY_WARN: "WARN", pb.CHECK_SEVERITY_ERROR: "ERROR"}
_REASONS = {
    pb.RUN_REASON_USER_ERROR: "error",
    pb.RUN_REASON_PROCESS_KILLED: "killed",
    pb.RUN_REASON_PROCESS_EXITED: "exited",
}


def refusal(violations: Iterable[pb.FieldViolation]) -> Fact:
    """Return the fact of a launch that was refused before anything started."""
    return {"event": "REJECTED", "fields": sorted({_refused_field(violation.field) for violation in violations})}


def _refused_field(field: str) -> str:
    head = re.split(r"[.\[]", field, maxsplit=1)[0]
    return "selection" if head in {"op_selection", "asset_selection", "check_selection"} else field


# ---------------------------------------------------------------------------------------------------------- errors


def errors(failure: pb.Failure) -> list[list[str]]:
    """Write a failure and its causes, outermost first."""
    chain = []
    relation = ""
    while failure.ByteSize():
        chain.append([relation, failure.error_class, failure.message])
        relation, failure = ("cause", failure.cause) if failure.HasField("cause") else ("context", failure.context)
    return chain


# -------------------------------------------------------------------------------------------------------- metadata


def metadata(entries: Iterable[pb.MetadataEntry]) -> list[list[Any]]:
    """Write metadata as label, type and value."""
    found = [[entry.label, *_metadata_value(entry.value)] for entry in entries]
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def _metadata_value(value: pb.MetadataValue) -> list[Any]:
    kind = value.WhichOneof("value") or "nothing"
    name, row = _METADATA[kind]
    return [name, row(getattr(value, kind))]


def _schema(schema: pb.TableSchema) -> Any:
    columns = [
        [
            column.name,
            column.type,
            column.description,
            column.is_nullable,
            column.is_unique,
            list(column.other_constraints),
            dict(column.tags),
        ]
        for column in schema.columns
    ]
    return [columns, list(schema.constraints)]


def _table(table: pb.Table) -> Any:
    records = [{name: _metadata_value(cell)[1] for name, cell in record.cells.items()} for record in table.records]
    return [_schema(table.schema), records]


def _lineage(lineage: pb.ColumnLineage) -> Any:
    return {
        column: [[list(dep.asset.path), dep.column] for dep in deps.deps]
        for column, deps in lineage.deps_by_column.items()
    }


def _references(references: pb.CodeReferences) -> Any:
    return [[reference.location, reference.line, reference.label] for reference in references.references]


def _same(value: Any) -> Any:
    return value


_METADATA: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "text": ("Text", _same),
    "url": ("Url", _same),
    "path": ("Path", _same),
    "notebook": ("Notebook", _same),
    "json": ("Json", json.loads),
    "markdown": ("Markdown", _same),
    "python_artifact": ("PythonArtifact", lambda v: [v.module, v.name]),
    "float": ("Float", _same),
    "int": ("Int", _same),
    "big_int": ("Int", int),
    "bool": ("Bool", _same),
    "timestamp": ("Timestamp", _same),
    "run_id": ("DagsterRun", _same),
    "job": ("DagsterJob", lambda v: [v.job_name, v.location_name]),
    "asset": ("DagsterAsset", lambda v: list(v.path)),
    "table": ("Table", _table),
    "table_schema": ("TableSchema", _schema),
    "column_lineage": ("TableColumnLineage", _lineage),
    "code_references": ("CodeReferences", _references),
    "null": ("Null", lambda _: None),
    "opaque": ("Opaque", lambda v: [v.type_name, v.text]),
}


# ---------------------------------------------------------------------------------------------------------- events


def _type_check(body: Any) -> Fact:
    if not body.HasField("is_type_check_ok"):
        return {"is_type_ok": None}
    return {
        "is_type_ok": body.is_type_check_ok,
        "type_description": getattr(body, "type_check_description", ""),
        "type_metadata": metadata(getattr(body, "type_check_metadata", ())),
    }


def _step_failed(body: pb.StepFailed) -> Fact:
    failure = body.failure
    return {
        "error": errors(failure),
        "description": failure.description,
        "metadata": metadata(failure.metadata),
    }


def _asset(body: Any) -> Fact:
    return {
        "asset": list(body.asset.path),
        "partition": body.partition,
        "description": body.description,
        "metadata": metadata(body.metadata),
        "tags": {key: value for key, value in body.tags.items() if "/input_event_pointer/" not in key},
    }


def _check(body: pb.AssetCheckEvaluated) -> Fact:
    return {
        "asset": list(body.asset.path),
        "check": body.check_name,
        "is_passed": body.is_passed,
        "severity": _SEVERITIES.get(body.severity, ""),
        "description": body.description,
        "metadata": metadata(body.metadata),
        "partition": body.partition,
    }


def _expectation(body: pb.ExpectationResult) -> Fact:
    return {
        "is_passed": body.is_passed,
        "label": body.label,
        "description": body.description,
        "metadata": metadata(body.metadata),
    }


def _run_failed(body: pb.RunFailed) -> Fact:
    if body.HasField("failure") and body.HasField("exit"):
        # Isthmus says what the step's process died of as well; Dagster leaves that to the step's own failure.
        return {"reason": "error", "error": errors(body.failure)}
    fact: Fact = {"reason": _REASONS.get(body.reason, pb.RunReason.Name(body.reason))}
    if body.HasField("exit"):
        is_signal = body.exit.signal != 0
        return {**fact, "exit": {"signal": body.exit.signal} if is_signal else {"code": body.exit.exit_code}}
    return {**fact, "error": errors(body.failure)}


def _resource(body: pb.ResourceEvent) -> Fact:
    return {
        "event": _PHASES[body.phase],
        "metadata": [row[:2] for row in metadata(body.metadata)],
        "error": errors(body.failure),
    }


def _output(body: pb.StepOutput) -> Fact:
    return {
        "output": body.output_name,
        "mapping_key": body.mapping_key,
        "metadata": metadata(body.metadata),
        **_type_check(body),
    }


def _loaded(body: pb.InputLoaded) -> Fact:
    return {
        "input": body.input_name,
        "manager": body.manager_key,
        "upstream": [body.upstream_step_key, body.upstream_output_name],
        "metadata": metadata(body.metadata),
    }


_Row = Callable[[Any], Fact]

#: Our bodies, and the name of Dagster's event that says the same.
_TABLE: Mapping[str, tuple[str, _Row]] = {
    "run_started": ("PIPELINE_START", lambda body: {"steps": sorted(body.step_keys)}),
    "run_succeeded": ("PIPELINE_SUCCESS", lambda _: {}),
    "run_failed": ("PIPELINE_FAILURE", _run_failed),
    "run_canceled": ("PIPELINE_CANCELED", lambda _: {}),
    "step_started": ("STEP_START", lambda _: {}),
    "step_succeeded": ("STEP_SUCCESS", lambda _: {}),
    "step_failed": ("STEP_FAILURE", _step_failed),
    "step_skipped": ("STEP_SKIPPED", lambda _: {}),
    "step_restarted": ("STEP_RESTARTED", lambda _: {}),
    "step_up_for_retry": (
        "STEP_UP_FOR_RETRY",
        lambda body: {"error": errors(body.failure), "wait_s": body.wait_s},
    ),
    "step_input": ("STEP_INPUT", lambda body: {"input": body.input_name, **_type_check(body)}),
    "step_output": ("STEP_OUTPUT", _output),
    "output_handled": (
        "HANDLED_OUTPUT",
        lambda body: {"output": body.output_name, "manager": body.manager_key, "metadata": metadata(body.metadata)},
    ),
    "input_loaded": ("LOADED_INPUT", _loaded),
    "asset_materialized": ("ASSET_MATERIALIZATION", _asset),
    "asset_observed": ("ASSET_OBSERVATION", _asset),
    "asset_planned": (
        "ASSET_MATERIALIZATION_PLANNED",
        lambda body: {"asset": list(body.asset.path), "partition": body.partition},
    ),
    "asset_check_planned": (
        "ASSET_CHECK_EVALUATION_PLANNED",
        lambda body: {"asset": list(body.asset.path), "check": body.check_name, "partition": body.partition},
    ),
    "asset_check_evaluated": ("ASSET_CHECK_EVALUATION", _check),
    "asset_failed": ("ASSET_FAILED_TO_MATERIALIZE", lambda body: {"asset": list(body.asset.path)}),
    "hook_completed": ("HOOK_COMPLETED", lambda body: {"hook": body.hook_name}),
    "hook_skipped": ("HOOK_SKIPPED", lambda body: {"hook": body.hook_name}),
    "hook_failed": ("HOOK_ERRORED", lambda body: {"hook": body.hook_name, "error": errors(body.failure)}),
    "expectation_result": ("STEP_EXPECTATION_RESULT", _expectation),
    "resource_event": ("RESOURCE_INIT", _resource),
    "log_message": (
        "LOG",
        lambda body: {"level": body.level, "error": errors(body.failure)},
    ),
    # The executor's own account of processes and markers; what has no message of ours comes under its own name.
    "engine_event": ("ENGINE_EVENT", lambda body: {"event": body.kind or "ENGINE_EVENT"}),
}
