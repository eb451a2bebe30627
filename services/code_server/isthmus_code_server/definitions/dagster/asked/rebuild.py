"""Stored events back to Dagster's event log entries: what `translation` does, the other way round."""

import logging
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dagster import AssetCheckSeverity, AssetMaterialization, AssetObservation
from dagster._core import events as told
from dagster._core.events import DagsterEvent
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan import inputs, objects, outputs
from dagster._core.execution.plan.handle import StepHandle
from dagster._utils import error as errors
from isthmus.v1 import instance_pb2
from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.asked.rebuild_metadata import key_of, metadata_of

# Their constructors are not typed, and differ between versions of Dagster.
_events: Any = told
_objects: Any = objects
_make_entry: Any = EventLogEntry
_error_info: Any = errors.SerializableErrorInfo  # type: ignore[attr-defined, unused-ignore]

#: Gives Dagster's event type and its data.
_Rebuild = Callable[[Any, pb.Event], tuple[str, Any]]

_SOURCES = {source.value: source for source in _objects.ErrorSource}
_FAILURES = frozenset({"STEP_FAILURE", "PIPELINE_FAILURE", "HOOK_ERRORED", "RESOURCE_INIT_FAILURE"})


def entry_of(stored: instance_pb2.StoredEvent) -> EventLogEntry:
    """Rebuild the log entry of a stored event."""
    event = stored.event
    kind = event.WhichOneof("body") or ""
    dagster_event = None if kind == "log_message" else _dagster_event(event, kind=kind, job_name=stored.job_name)
    level = event.log_message.level if kind == "log_message" else _level(dagster_event)
    entry: EventLogEntry = _make_entry(
        error_info=error_info_of(event.log_message.failure) if event.log_message.HasField("failure") else None,
        level=level,
        user_message=event.message,
        run_id=event.run.run_id,
        timestamp=event.occurred_at.ToMicroseconds() / 1e6,
        step_key=event.step_key or None,
        job_name=stored.job_name,
        dagster_event=dagster_event,
    )
    return entry


def _dagster_event(event: pb.Event, *, kind: str, job_name: str) -> DagsterEvent:
    rebuild = _TABLE.get(kind, _unknown)
    handle: Any = StepHandle.parse_from_key(event.step_key) if _is_plain(event.step_key) else None
    event_type, data = rebuild(getattr(event, kind) if kind else None, event)
    return DagsterEvent(
        event_type_value=event_type,
        job_name=job_name,
        step_handle=handle,
        event_specific_data=data,
        message=event.message or None,
        step_key=event.step_key or None,
    )


def _is_plain(step_key: str) -> bool:
    return bool(step_key) and not step_key.endswith("]")


def _level(event: DagsterEvent | None) -> int:
    return logging.ERROR if event is not None and event.event_type_value in _FAILURES else logging.DEBUG


def error_info_of(failure: pb.Failure) -> Any:
    """Rebuild Dagster's account of an exception."""
    message = f"{failure.error_class}: {failure.message}\n" if failure.message else f"{failure.error_class}\n"
    return _error_info(
        message=message,
        stack=list(failure.stack),
        cls_name=failure.error_class or None,
        cause=error_info_of(failure.cause) if failure.HasField("cause") else None,
        context=error_info_of(failure.context) if failure.HasField("context") else None,
    )


def _error(body: Any) -> Any:
    return error_info_of(body.failure) if body.HasField("failure") else None


# --------------------------------------------------------------------------------------------------------------- assets


def _materialized(body: pb.AssetMaterialized, _: pb.Event) -> tuple[str, Any]:
    materialization = AssetMaterialization(
        asset_key=key_of(body.asset),
        description=body.description or None,
        metadata=metadata_of(body.metadata),
        partition=body.partition or None,
        tags=dict(body.tags),
    )
    return "ASSET_MATERIALIZATION", _events.StepMaterializationData(materialization)


def _observed(body: pb.AssetObserved, _: pb.Event) -> tuple[str, Any]:
    observation = AssetObservation(
        asset_key=key_of(body.asset),
        description=body.description or None,
        metadata=metadata_of(body.metadata),
        partition=body.partition or None,
        tags=dict(body.tags),
    )
    return "ASSET_OBSERVATION", _events.AssetObservationData(observation)


def _planned(body: pb.AssetPlanned, _: pb.Event) -> tuple[str, Any]:
    data = _events.AssetMaterializationPlannedData(key_of(body.asset), partition=body.partition or None)
    return "ASSET_MATERIALIZATION_PLANNED", data


def _asset_failed(body: pb.AssetFailed, event: pb.Event) -> tuple[str, Any]:
    # Its data holds enums that an older Dagster does not have; the key and the reason are in the message.
    del body
    return "ENGINE_EVENT", _events.EngineEventData(metadata={"isthmus/message": event.message})


def _check_planned(body: pb.AssetCheckPlanned, _: pb.Event) -> tuple[str, Any]:
    planned = _with_known(
        _events.AssetCheckEvaluationPlanned,
        asset_key=key_of(body.asset),
        check_name=body.check_name,
        optional={"partition": body.partition or None},
    )
    return "ASSET_CHECK_EVALUATION_PLANNED", planned


def _check_evaluated(body: pb.AssetCheckEvaluated, _: pb.Event) -> tuple[str, Any]:
    is_warning = body.severity == pb.CHECK_SEVERITY_WARN
    evaluation = _with_known(
        _events.AssetCheckEvaluation,
        asset_key=key_of(body.asset),
        check_name=body.check_name,
        passed=body.is_passed,
        metadata=metadata_of(body.metadata),
        target_materialization_data=_target(body),
        severity=AssetCheckSeverity.WARN if is_warning else AssetCheckSeverity.ERROR,
        description=body.description or None,
        optional={"blocking": body.is_blocking, "partition": body.partition or None},
    )
    return "ASSET_CHECK_EVALUATION", evaluation


def _target(body: pb.AssetCheckEvaluated) -> Any:
    if not body.HasField("target"):
        return None
    # Beside the evaluation, whichever module that is in this Dagster.
    module: Any = sys.modules[_events.AssetCheckEvaluation.__module__]
    return module.AssetCheckEvaluationTargetMaterializationData(
        run_id=body.target.run_id, storage_id=body.target.event_id, timestamp=body.target.timestamp
    )


def _with_known(make: Callable[..., Any], *, optional: Mapping[str, Any], **fields: Any) -> Any:
    """Make a value with those of the optional fields that this Dagster knows."""
    known = {name: value for name, value in optional.items() if name in _field_names(make)}
    return make(**fields, **known)


def _field_names(make: Any) -> frozenset[str]:
    names = getattr(make, "_fields", None) or getattr(make, "__annotations__", {})
    return frozenset(names)


# ---------------------------------------------------------------------------------------------------------------- steps


def _bare(event_type: str, _body: Any, _event: pb.Event) -> tuple[str, Any]:
    return event_type, None


def _step_succeeded(body: pb.StepSucceeded, _: pb.Event) -> tuple[str, Any]:
    return "STEP_SUCCESS", _objects.StepSuccessData(duration_ms=body.duration_s * 1000)


def _step_failed(body: pb.StepFailed, _: pb.Event) -> tuple[str, Any]:
    failure = body.failure
    attached = None
    if failure.label or failure.description or failure.metadata:
        attached = _objects.UserFailureData(
            # Older code servers told no labels.
            label=failure.label or "intentional-failure",
            description=failure.description or None,
            metadata=metadata_of(failure.metadata),
        )
    source = _SOURCES.get(failure.source)
    error = _error(body)
    if source is _objects.ErrorSource.USER_CODE_ERROR and error is not None:
        error = _wrapped(error)
    return "STEP_FAILURE", _objects.StepFailureData(error=error, user_failure_data=attached, error_source=source)


def _wrapped(error: Any) -> Any:
    """Put Dagster's wrapper around what user code raised: its own code looks for the cause."""
    name = "DagsterExecutionStepExecutionError"
    return _error_info(message=f"{name}: Error occurred while executing op:\n", stack=[], cls_name=name, cause=error)


def _step_up_for_retry(body: pb.StepUpForRetry, _: pb.Event) -> tuple[str, Any]:
    wait_s = body.wait_s if body.HasField("wait_s") else None
    return "STEP_UP_FOR_RETRY", _objects.StepRetryData(error=_error(body), seconds_to_wait=wait_s)


def _step_input(body: pb.StepInput, _: pb.Event) -> tuple[str, Any]:
    return "STEP_INPUT", inputs.StepInputData(
        input_name=body.input_name, type_check_data=_type_check(body, body.input_name)
    )


def _step_output(body: pb.StepOutput, event: pb.Event) -> tuple[str, Any]:
    data = outputs.StepOutputData(
        step_output_handle=outputs.StepOutputHandle(event.step_key, body.output_name, body.mapping_key or None),
        type_check_data=_type_check(body, body.output_name),
        metadata=metadata_of(body.metadata),
    )
    return "STEP_OUTPUT", data


def _type_check(body: Any, label: str) -> Any:
    if not body.HasField("is_type_check_ok"):
        return None
    return _objects.TypeCheckData(success=body.is_type_check_ok, label=label)


def _output_handled(body: pb.OutputHandled, _: pb.Event) -> tuple[str, Any]:
    data = _events.HandledOutputData(
        output_name=body.output_name, manager_key=body.manager_key, metadata=metadata_of(body.metadata)
    )
    return "HANDLED_OUTPUT", data


def _input_loaded(body: pb.InputLoaded, _: pb.Event) -> tuple[str, Any]:
    data = _events.LoadedInputData(
        input_name=body.input_name,
        manager_key=body.manager_key,
        upstream_output_name=body.upstream_output_name or None,
        upstream_step_key=body.upstream_step_key or None,
        metadata=metadata_of(body.metadata),
    )
    return "LOADED_INPUT", data


# ----------------------------------------------------------------------------------------------------- runs, engine, hooks


def _run_failed(body: pb.RunFailed, _: pb.Event) -> tuple[str, Any]:
    return "PIPELINE_FAILURE", _events.JobFailureData(error=_error(body))


def _engine(body: pb.EngineEvent, _: pb.Event) -> tuple[str, Any]:
    known = {kind.value for kind in _events.DagsterEventType}
    data = _events.EngineEventData(
        metadata=metadata_of(body.metadata),
        error=_error(body),
        marker_start=body.marker_start or None,
        marker_end=body.marker_end or None,
    )
    return (body.kind if body.kind in known else "ENGINE_EVENT"), data


def _hook_failed(body: pb.HookFailed, _: pb.Event) -> tuple[str, Any]:
    return "HOOK_ERRORED", _events.HookErroredData(error=_error(body))


def _resource(body: pb.ResourceEvent, _: pb.Event) -> tuple[str, Any]:
    names = {
        pb.ResourceEvent.PHASE_SUCCEEDED: "RESOURCE_INIT_SUCCESS",
        pb.ResourceEvent.PHASE_FAILED: "RESOURCE_INIT_FAILURE",
    }
    data = _events.EngineEventData(metadata=metadata_of(body.metadata), error=_error(body))
    return names.get(body.phase, "RESOURCE_INIT_STARTED"), data


def _expectation(body: pb.ExpectationResult, _: pb.Event) -> tuple[str, Any]:
    from dagster import ExpectationResult

    result = ExpectationResult(
        success=body.is_passed,
        label=body.label or None,
        description=body.description or None,
        metadata=metadata_of(body.metadata),
    )
    return "STEP_EXPECTATION_RESULT", _events.StepExpectationResultData(result)


def _unknown(_body: Any, _event: pb.Event) -> tuple[str, Any]:
    """Stand for an event of ours that Dagster has no word for."""
    return "ENGINE_EVENT", _events.EngineEventData()


#: By the name of the event's body.
_TABLE: Mapping[str, _Rebuild] = {
    "run_queued": partial(_bare, "PIPELINE_ENQUEUED"),
    "run_dispatched": partial(_bare, "PIPELINE_DEQUEUED"),
    "run_starting": partial(_bare, "PIPELINE_STARTING"),
    "run_started": partial(_bare, "PIPELINE_START"),
    "run_succeeded": partial(_bare, "PIPELINE_SUCCESS"),
    "run_failed": _run_failed,
    "run_cancel_requested": partial(_bare, "PIPELINE_CANCELING"),
    "run_canceled": partial(_bare, "PIPELINE_CANCELED"),
    "step_started": partial(_bare, "STEP_START"),
    "step_succeeded": _step_succeeded,
    "step_failed": _step_failed,
    "step_skipped": partial(_bare, "STEP_SKIPPED"),
    "step_up_for_retry": _step_up_for_retry,
    "step_restarted": partial(_bare, "STEP_RESTARTED"),
    "step_input": _step_input,
    "step_output": _step_output,
    "output_handled": _output_handled,
    "input_loaded": _input_loaded,
    "asset_materialized": _materialized,
    "asset_observed": _observed,
    "asset_planned": _planned,
    "asset_failed": _asset_failed,
    "asset_check_planned": _check_planned,
    "asset_check_evaluated": _check_evaluated,
    "engine_event": _engine,
    "hook_completed": partial(_bare, "HOOK_COMPLETED"),
    "hook_skipped": partial(_bare, "HOOK_SKIPPED"),
    "hook_failed": _hook_failed,
    "resource_event": _resource,
    "expectation_result": _expectation,
}

#: Dagster's event types by the names of our bodies, where one stands for the other.
KIND_OF_TYPE: Mapping[str, str] = {
    "PIPELINE_ENQUEUED": "run_queued",
    "PIPELINE_DEQUEUED": "run_dispatched",
    "PIPELINE_STARTING": "run_starting",
    "PIPELINE_START": "run_started",
    "PIPELINE_SUCCESS": "run_succeeded",
    "PIPELINE_FAILURE": "run_failed",
    "PIPELINE_CANCELING": "run_cancel_requested",
    "PIPELINE_CANCELED": "run_canceled",
    "ASSET_MATERIALIZATION": "asset_materialized",
    "ASSET_OBSERVATION": "asset_observed",
    "ASSET_MATERIALIZATION_PLANNED": "asset_planned",
    "ASSET_FAILED_TO_MATERIALIZE": "asset_failed",
    "ASSET_CHECK_EVALUATION": "asset_check_evaluated",
    "ASSET_CHECK_EVALUATION_PLANNED": "asset_check_planned",
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
    "HOOK_COMPLETED": "hook_completed",
    "HOOK_SKIPPED": "hook_skipped",
    "HOOK_ERRORED": "hook_failed",
    "RESOURCE_INIT_STARTED": "resource_event",
    "RESOURCE_INIT_SUCCESS": "resource_event",
    "RESOURCE_INIT_FAILURE": "resource_event",
    "STEP_EXPECTATION_RESULT": "expectation_result",
}


def kind_of(event_type: Any) -> str:
    """Return the name of our body for a Dagster event type; what has none of its own is an engine event."""
    return KIND_OF_TYPE.get(event_type.value, "engine_event")
