"""What Dagster's own event log says of a run, as facts that can be compared; see README.md for what a fact is.

Runs beside any supported Dagster, in a process of its own, and knows nothing of Isthmus.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dagster._core.errors import DagsterUserCodeExecutionError
from dagster._core.events.log import EventLogEntry

Fact = dict[str, Any]

#: What has no counterpart in a run's own history, or tells of the machinery; README.md argues for each.
_LEFT_OUT = frozenset(
    {
        "PIPELINE_ENQUEUED",
        "PIPELINE_DEQUEUED",
        "PIPELINE_STARTING",
        "ENGINE_EVENT",
        "LOGS_CAPTURED",
        "STEP_WORKER_STARTING",
        "STEP_WORKER_STARTED",
    }
)

_RETRIES = frozenset({"RetryRequested", "RetryRequestedFromPolicy"})


def facts(entries: Sequence[EventLogEntry]) -> list[Fact]:
    """Return the facts of a run's entries."""
    told: list[Fact] = []
    for entry in entries:
        if entry.dagster_event is None:
            told.append(_log_line(entry))
        elif entry.dagster_event.event_type_value not in _LEFT_OUT:
            told += _of_each_partition(_event(entry), entry.dagster_event)
    return told


def _of_each_partition(fact: Fact, event: Any) -> list[Fact]:
    """Tell of each partition by itself, where an older Dagster plans a range of them in one event."""
    subset = getattr(event.event_specific_data, "partitions_subset", None)
    return [{**fact, "partition": key} for key in subset.get_partition_keys()] if subset is not None else [fact]


def _log_line(entry: EventLogEntry) -> Fact:
    error = errors(entry.error_info) if entry.error_info is not None else []
    return {
        "event": "LOG",
        "step": entry.step_key or "",
        "level": entry.level,
        "message": entry.user_message,
        "error": error,
    }


def _event(entry: EventLogEntry) -> Fact:
    event: Any = entry.dagster_event
    kind = event.event_type_value
    row = _TABLE.get(kind)
    fact: Fact = {"event": kind, "step": entry.step_key or ""}
    if row is not None:
        fact.update(row(event, event.event_specific_data))
    return fact


# ---------------------------------------------------------------------------------------------------------- errors


def errors(error: Any) -> list[list[str]]:
    """Write an exception and its causes, outermost first, without Dagster's wrapper around user code."""
    if error is None:
        return []
    if error.cause is not None and error.cls_name in _wrappers():
        error = error.cause
    chain = []
    relation = ""
    while error is not None:
        chain.append([relation, error.cls_name or "", _bare(error.message, error.cls_name or "")])
        relation, error = ("cause", error.cause) if error.cause is not None else ("context", error.context)
    return chain


def _bare(message: str, name: str) -> str:
    """Take the class's name off the message, before which Python writes it."""
    text = message.removesuffix("\n")
    head, colon, tail = text.partition(": ")
    if colon and head.split(".")[-1] == name:
        return tail
    return "" if text.split(".")[-1] == name else text


def _wrappers() -> frozenset[str]:
    names = set(_RETRIES)
    classes: list[type] = [DagsterUserCodeExecutionError]
    while classes:
        found = classes.pop()
        names.add(found.__name__)
        classes.extend(found.__subclasses__())
    return frozenset(names)


# -------------------------------------------------------------------------------------------------------- metadata


def metadata(values: Mapping[str, Any] | None) -> list[list[Any]]:
    """Write metadata as label, type and value."""
    found = [[label, *_metadata_value(value)] for label, value in (values or {}).items()]
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def _metadata_value(value: Any) -> list[Any]:
    name = type(value).__name__.removesuffix("MetadataValue")
    row = _METADATA.get(name)
    return [name, row(value) if row is not None else str(value)]


def _schema(schema: Any) -> Any:
    columns = [
        [
            column.name,
            column.type,
            column.description or "",
            column.constraints.nullable,
            column.constraints.unique,
            list(column.constraints.other),
            dict(column.tags),
        ]
        for column in schema.columns
    ]
    return [columns, list(schema.constraints.other)]


def _table(value: Any) -> Any:
    return [_schema(value.schema), [dict(record.data) for record in value.records]]


def _lineage(value: Any) -> Any:
    return {
        column: [[list(dep.asset_key.path), dep.column_name] for dep in deps]
        for column, deps in value.value.deps_by_column.items()
    }


def _references(value: Any) -> Any:
    return [
        [reference.url, 0, reference.label or ""]
        if hasattr(reference, "url")
        else [reference.file_path, reference.line_number or 0, reference.label or ""]
        for reference in value.code_references
    ]


_METADATA: Mapping[str, Callable[[Any], Any]] = {
    "Text": lambda v: v.text or "",
    "Url": lambda v: v.url or "",
    "Path": lambda v: v.path or "",
    "Notebook": lambda v: v.path or "",
    "Json": lambda v: v.data,
    "Markdown": lambda v: v.md_str or "",
    "PythonArtifact": lambda v: [v.module, v.name],
    "Float": lambda v: v.value,
    "Int": lambda v: v.value,
    "Bool": lambda v: v.value,
    "Timestamp": lambda v: v.value,
    "DagsterRun": lambda v: v.run_id,
    "DagsterJob": lambda v: [v.job_name, v.location_name],
    "DagsterAsset": lambda v: list(v.asset_key.path),
    "Table": _table,
    "TableSchema": lambda v: _schema(v.schema),
    "TableColumnLineage": _lineage,
    "CodeReferences": _references,
    "Null": lambda _: None,
}


# ---------------------------------------------------------------------------------------------------------- events


def _failed(_: Any, data: Any) -> Fact:
    attached = data.user_failure_data
    return {
        "error": errors(data.error),
        "description": (attached.description or "") if attached is not None else "",
        "metadata": metadata(attached.metadata) if attached is not None else [],
    }


def _type_check(data: Any) -> Fact:
    check = data.type_check_data
    if check is None:
        return {"is_type_ok": None}
    return {
        "is_type_ok": check.success,
        "type_description": check.description or "",
        "type_metadata": metadata(check.metadata),
    }


def _output(_: Any, data: Any) -> Fact:
    return {
        "output": data.output_name,
        "mapping_key": data.mapping_key or "",
        "metadata": metadata(data.metadata),
        **_type_check(data),
    }


def _handled(_: Any, data: Any) -> Fact:
    return {"output": data.output_name, "manager": data.manager_key, "metadata": metadata(data.metadata)}


def _loaded(_: Any, data: Any) -> Fact:
    return {
        "input": data.input_name,
        "manager": data.manager_key,
        "upstream": [data.upstream_step_key or "", data.upstream_output_name or ""],
        "metadata": metadata(data.metadata),
    }


def _asset(said: Any) -> Fact:
    # The pointers are numbers of rows in Dagster's own tables.
    tags = {key: value or "" for key, value in (said.tags or {}).items() if "/input_event_pointer/" not in key}
    return {
        "asset": list(said.asset_key.path),
        "partition": str(said.partition or ""),
        "description": said.description or "",
        "metadata": metadata(said.metadata),
        "tags": tags,
    }


def _check(_: Any, data: Any) -> Fact:
    return {
        "asset": list(data.asset_key.path),
        "check": data.check_name,
        "is_passed": bool(data.passed),
        "severity": data.severity.value,
        "description": data.description or "",
        "metadata": metadata(data.metadata),
        "partition": str(getattr(data, "partition", None) or ""),
    }


def _hook(event: Any, _: Any) -> Fact:
    # The message is the only place where Dagster says the hook's name; of one that failed it does not say it.
    return {"hook": event.message.split('"')[1] if event.message else ""}


def _hook_failed(event: Any, data: Any) -> Fact:
    return {**_hook(event, data), "error": errors(data.error)}


def _expectation(_: Any, data: Any) -> Fact:
    result = data.expectation_result
    return {
        "is_passed": result.success,
        "label": result.label or "",
        "description": result.description or "",
        "metadata": metadata(result.metadata),
    }


def _resource(_: Any, data: Any) -> Fact:
    # The values tell how long it took.
    labels = [row[:2] for row in metadata(data.metadata)]
    return {"metadata": labels, "error": errors(data.error)}


def _run_failed(_: Any, data: Any) -> Fact:
    reason = getattr(data, "failure_reason", None)
    is_interrupted = reason is not None and reason.value == "UNEXPECTED_TERMINATION"
    first = getattr(data, "first_step_failure_event", None)
    error = first.step_failure_data.error if first is not None else getattr(data, "error", None)
    return {"reason": "killed" if is_interrupted else "error", "error": errors(error)}


_TABLE: Mapping[str, Callable[[Any, Any], Fact]] = {
    "STEP_FAILURE": _failed,
    "STEP_UP_FOR_RETRY": lambda _, data: {"error": errors(data.error), "wait_s": float(data.seconds_to_wait or 0)},
    "STEP_INPUT": lambda _, data: {"input": data.input_name, **_type_check(data)},
    "STEP_OUTPUT": _output,
    "HANDLED_OUTPUT": _handled,
    "LOADED_INPUT": _loaded,
    "ASSET_MATERIALIZATION": lambda _, data: _asset(data.materialization),
    "ASSET_OBSERVATION": lambda _, data: _asset(data.asset_observation),
    "ASSET_MATERIALIZATION_PLANNED": lambda _, data: {
        "asset": list(data.asset_key.path),
        "partition": str(data.partition or ""),
    },
    "ASSET_CHECK_EVALUATION_PLANNED": lambda _, data: {
        "asset": list(data.asset_key.path),
        "check": data.check_name,
        "partition": "",
    },
    "ASSET_CHECK_EVALUATION": _check,
    "HOOK_COMPLETED": _hook,
    "HOOK_SKIPPED": _hook,
    "HOOK_ERRORED": _hook_failed,
    "STEP_EXPECTATION_RESULT": _expectation,
    "RESOURCE_INIT_STARTED": _resource,
    "RESOURCE_INIT_SUCCESS": _resource,
    "RESOURCE_INIT_FAILURE": _resource,
    "PIPELINE_FAILURE": _run_failed,
}
