"""Dagster's event log entries to typed events: one table, a row per event type."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.clock import timestamp
from isthmus_code_server.definitions.dagster.values.encodable import encodable_entry
from isthmus_code_server.definitions.dagster.values.failure import (
    failure_from_error_info,
    failure_from_plain_exception,
    failure_from_step,
    user_failure,
)
from isthmus_code_server.definitions.dagster.values.metadata import asset_key, metadata_entries

if TYPE_CHECKING:
    from dagster._core.events import DagsterEvent
    from dagster._core.events.log import EventLogEntry

#: Sets the body of an event. The keyword is the step's retry number.
_Translate = Callable[[pb.Event, "DagsterEvent", int], None]


def translate(entry: "EventLogEntry", *, retry_number: int = 0) -> pb.Event:
    """Translate one entry of Dagster's event log.

    Args:
        entry: The entry: one of Dagster's events, or a line that user code logged.
        retry_number: How many times the entry's step was retried before.
    """
    try:
        return _translate(entry, retry_number)
    except UnicodeEncodeError:
        return _translate(encodable_entry(entry), retry_number)


def _translate(entry: "EventLogEntry", retry_number: int) -> pb.Event:
    event = pb.Event(
        occurred_at=timestamp(entry.timestamp),
        step_key=entry.step_key or "",
        message=entry.user_message or "",
    )
    if entry.dagster_event is None:
        _log_line(event, entry)
        return event
    if not event.message:
        event.message = entry.dagster_event.message or ""
    row = _TABLE.get(entry.dagster_event.event_type_value, _engine_event)
    try:
        row(event, entry.dagster_event, retry_number)
    except UnicodeEncodeError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, a run must not fail of being told
        # Another Dagster may fill its events in another way. That must not fail a run: the event stays an engine
        # event that says what could not be read.
        event.engine_event.kind = entry.dagster_event.event_type_value
        event.engine_event.failure.CopyFrom(failure_from_plain_exception(error))
    return event


def _log_line(event: pb.Event, entry: "EventLogEntry") -> None:
    event.log_message.level = entry.level if isinstance(entry.level, int) else 20
    event.log_message.logger = "dagster"
    if entry.error_info is not None:
        event.log_message.failure.CopyFrom(failure_from_error_info(entry.error_info))


def _engine_event(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    """Carry whatever no message of ours stands for, under the framework's own name."""
    body = event.engine_event
    body.kind = source.event_type_value
    data: Any = source.event_specific_data
    body.metadata.extend(metadata_entries(getattr(data, "metadata", None)))
    body.marker_start = getattr(data, "marker_start", None) or ""
    body.marker_end = getattr(data, "marker_end", None) or ""
    error = getattr(data, "error", None)
    if error is not None:
        body.failure.CopyFrom(user_failure(error))


# ----------------------------------------------------------------------------------------------------------- steps


def _step_started(event: pb.Event, _: "DagsterEvent", retry_number: int) -> None:
    event.step_started.retry_number = retry_number


def _step_restarted(event: pb.Event, _: "DagsterEvent", retry_number: int) -> None:
    event.step_restarted.retry_number = retry_number


def _step_succeeded(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    event.step_succeeded.duration_s = source.step_success_data.duration_ms / 1000


def _step_failed(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    event.step_failed.failure.CopyFrom(failure_from_step(source.step_failure_data))


def _step_up_for_retry(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data = source.step_retry_data
    event.step_up_for_retry.failure.CopyFrom(user_failure(data.error))
    if data.seconds_to_wait is not None:
        event.step_up_for_retry.wait_s = data.seconds_to_wait


def _step_input(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    event.step_input.input_name = data.input_name
    _fill_type_check(event.step_input, data.type_check_data)


def _step_output(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data = source.step_output_data
    event.step_output.output_name = data.output_name
    event.step_output.mapping_key = data.mapping_key or ""
    event.step_output.metadata.extend(metadata_entries(data.metadata))
    _fill_type_check(event.step_output, data.type_check_data)


def _fill_type_check(body: pb.StepInput | pb.StepOutput, data: Any) -> None:
    if data is None:
        return
    body.is_type_check_ok = data.success
    body.type_check_description = data.description or ""
    body.type_check_metadata.extend(metadata_entries(data.metadata))


def _output_handled(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    event.output_handled.output_name = data.output_name
    event.output_handled.manager_key = data.manager_key
    event.output_handled.metadata.extend(metadata_entries(data.metadata))


def _input_loaded(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    body = event.input_loaded
    body.input_name = data.input_name
    body.manager_key = data.manager_key
    body.upstream_step_key = data.upstream_step_key or ""
    body.upstream_output_name = data.upstream_output_name or ""
    body.metadata.extend(metadata_entries(data.metadata))


# ---------------------------------------------------------------------------------------------------------- assets


def _fill_asset(body: pb.AssetMaterialized | pb.AssetObserved, data: Any) -> None:
    body.asset.CopyFrom(asset_key(data.asset_key))
    body.partition = _partition(data.partition)
    body.description = data.description or ""
    body.metadata.extend(metadata_entries(data.metadata))
    body.tags.update({key: value or "" for key, value in (data.tags or {}).items()})


def _partition(key: object) -> str:
    """Write a partition key; a multi-partition key writes itself as Dagster stores it."""
    return "" if key is None else str(key)


def _asset_materialized(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    _fill_asset(event.asset_materialized, source.step_materialization_data.materialization)


def _asset_observed(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    _fill_asset(event.asset_observed, source.asset_observation_data.asset_observation)


def _asset_planned(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    event.asset_planned.asset.CopyFrom(asset_key(data.asset_key))
    event.asset_planned.partition = _partition(data.partition)


def _asset_failed(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    failure = data.asset_materialization_failure
    event.asset_failed.asset.CopyFrom(asset_key(failure.asset_key))
    event.asset_failed.partition = _partition(failure.partition)
    event.asset_failed.reason = failure.reason.value


def _check_planned(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    event.asset_check_planned.asset.CopyFrom(asset_key(data.asset_key))
    event.asset_check_planned.check_name = data.check_name
    event.asset_check_planned.partition = _partition(getattr(data, "partition", None))


def _check_evaluated(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    body = event.asset_check_evaluated
    body.asset.CopyFrom(asset_key(data.asset_key))
    body.check_name = data.check_name
    body.is_passed = bool(data.passed)
    body.severity = pb.CHECK_SEVERITY_WARN if data.severity.value == "WARN" else pb.CHECK_SEVERITY_ERROR
    body.description = data.description or ""
    body.metadata.extend(metadata_entries(data.metadata))
    # Older versions of Dagster do not say it here; the execution looks it up in the definitions.
    body.is_blocking = bool(getattr(data, "blocking", False))
    body.partition = _partition(getattr(data, "partition", None))
    target = data.target_materialization_data
    if target is not None:
        body.target.run_id = target.run_id
        body.target.event_id = target.storage_id
        body.target.timestamp = target.timestamp


# ---------------------------------------------------------------------------------------------- hooks, resources


def _hook_completed(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    event.hook_completed.hook_name = _hook_name(source)


def _hook_skipped(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    event.hook_skipped.hook_name = _hook_name(source)


def _hook_failed(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    event.hook_failed.hook_name = _hook_name(source)
    event.hook_failed.failure.CopyFrom(user_failure(source.hook_errored_data.error))


def _hook_name(source: "DagsterEvent") -> str:
    """Find the hook's name in the message: the only place where Dagster says it, always in the first quotes."""
    _, _, rest = (source.message or "").partition('"')
    name, _, _ = rest.partition('"')
    return name


def _expectation(event: pb.Event, source: "DagsterEvent", _: int) -> None:
    data: Any = source.event_specific_data
    result = data.expectation_result
    event.expectation_result.is_passed = result.success
    event.expectation_result.label = result.label or ""
    event.expectation_result.description = result.description or ""
    event.expectation_result.metadata.extend(metadata_entries(result.metadata))


def _resource(event: pb.Event, source: "DagsterEvent", _: int, *, phase: "pb.ResourceEvent.Phase.ValueType") -> None:
    data: Any = source.event_specific_data
    event.resource_event.phase = phase
    event.resource_event.metadata.extend(metadata_entries(data.metadata))
    if data.error is not None:
        event.resource_event.failure.CopyFrom(user_failure(data.error))


def _step_skipped(event: pb.Event, _: "DagsterEvent", __: int) -> None:
    event.step_skipped.SetInParent()


#: By the type's value, which does not change between versions of Dagster. What is not here is an engine event of its
#: own name; the run's own start and end are told by the execution, which knows more than Dagster's events say.
_TABLE: Mapping[str, _Translate] = {
    "STEP_START": _step_started,
    "STEP_SUCCESS": _step_succeeded,
    "STEP_FAILURE": _step_failed,
    "STEP_SKIPPED": _step_skipped,
    "STEP_UP_FOR_RETRY": _step_up_for_retry,
    "STEP_RESTARTED": _step_restarted,
    "STEP_INPUT": _step_input,
    "STEP_OUTPUT": _step_output,
    "HANDLED_OUTPUT": _output_handled,
    "LOADED_INPUT": _input_loaded,
    "ASSET_MATERIALIZATION": _asset_materialized,
    "ASSET_OBSERVATION": _asset_observed,
    "ASSET_MATERIALIZATION_PLANNED": _asset_planned,
    "ASSET_FAILED_TO_MATERIALIZE": _asset_failed,
    "ASSET_CHECK_EVALUATION_PLANNED": _check_planned,
    "ASSET_CHECK_EVALUATION": _check_evaluated,
    "HOOK_COMPLETED": _hook_completed,
    "HOOK_ERRORED": _hook_failed,
    "HOOK_SKIPPED": _hook_skipped,
    "STEP_EXPECTATION_RESULT": _expectation,
    "RESOURCE_INIT_STARTED": partial(_resource, phase=pb.ResourceEvent.PHASE_STARTED),
    "RESOURCE_INIT_SUCCESS": partial(_resource, phase=pb.ResourceEvent.PHASE_SUCCEEDED),
    "RESOURCE_INIT_FAILURE": partial(_resource, phase=pb.ResourceEvent.PHASE_FAILED),
    "ENGINE_EVENT": _engine_event,
}
