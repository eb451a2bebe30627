"""Executes one job in Dagster's own process and prints what happened, as a last line of JSON: what Isthmus is held against.

Arguments: the module with the definitions, the job, its run config as JSON, and a partition key or nothing.
"""

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from dagster import DagsterEvent, DagsterEventType, Definitions, MetadataValue

KINDS = {
    "TextMetadataValue": "text",
    "UrlMetadataValue": "url",
    "PathMetadataValue": "path",
    "JsonMetadataValue": "json",
    "MarkdownMetadataValue": "markdown",
    "FloatMetadataValue": "float",
    "IntMetadataValue": "int",
    "BoolMetadataValue": "bool",
    "TimestampMetadataValue": "timestamp",
    "TableMetadataValue": "table",
    "TableSchemaMetadataValue": "table_schema",
    "TableColumnLineageMetadataValue": "column_lineage",
}


def told(metadata: dict[str, MetadataValue[Any]]) -> list[list[Any]]:
    """Each entry's label and type, and its value where it is a plain one that does not tell the time or a file."""
    facts = []
    for label, value in metadata.items():
        kind = KINDS[type(value).__name__]
        facts.append([label, kind, value.value if kind in {"text", "url", "int", "bool"} else None])
    return sorted(facts, key=json.dumps)


def facts_of(event: DagsterEvent) -> Iterator[list[Any]]:
    step = event.step_key
    kind = event.event_type
    data: Any = event.event_specific_data
    if kind in {
        DagsterEventType.STEP_START,
        DagsterEventType.STEP_SUCCESS,
        DagsterEventType.STEP_SKIPPED,
        DagsterEventType.STEP_RESTARTED,
        DagsterEventType.STEP_UP_FOR_RETRY,
    }:
        yield [kind.value, step]
    elif kind is DagsterEventType.STEP_FAILURE:
        # Dagster wraps what the user's code raised; the user's own error is what Isthmus tells.
        is_wrapper = data.error.cls_name == "DagsterExecutionStepExecutionError"
        error = data.error.cause if is_wrapper else data.error
        yield [kind.value, step, error.cls_name, error.cause.cls_name if error.cause else None]
    elif kind is DagsterEventType.STEP_OUTPUT:
        handle = data.step_output_handle
        yield [kind.value, step, handle.output_name, handle.mapping_key or "", told(data.metadata)]
    elif kind in {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION}:
        said = data.materialization if kind is DagsterEventType.ASSET_MATERIALIZATION else data.asset_observation
        yield [kind.value, step, list(said.asset_key.path), said.partition or "", told(said.metadata)]
    elif kind is DagsterEventType.ASSET_CHECK_EVALUATION:
        yield [kind.value, step, list(data.asset_key.path), data.check_name, data.passed, data.severity.value]
    elif kind in {DagsterEventType.HOOK_COMPLETED, DagsterEventType.HOOK_ERRORED, DagsterEventType.HOOK_SKIPPED}:
        yield [kind.value, step]
    elif kind in {DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE}:
        yield [kind.value]


def main() -> None:
    module, job, config, partition = sys.argv[1:]
    defs: Definitions = importlib.import_module(module).defs
    result = defs.resolve_job_def(job).execute_in_process(
        run_config=json.loads(config), partition_key=partition or None, raise_on_error=False
    )
    print()  # noqa: T201
    json.dump([fact for event in result.all_events for fact in facts_of(event)], sys.stdout)


if __name__ == "__main__":
    main()
