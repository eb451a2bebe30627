"""Dagster's metadata values, one by one, to typed ones."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from isthmus.v1 import telemetry_pb2 as pb

#: The integers that the contract's sint64 can hold.
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1

#: Metadata that Dagster writes for itself and that means nothing outside of it.
_INTERNAL_TYPES = frozenset({"CodeLocationReconstructionMetadataValue"})


def metadata_entries(metadata: Mapping[str, Any] | None) -> list[pb.MetadataEntry]:
    """Translate a metadata mapping, raw values included, sorted by label."""
    if not metadata:
        return []
    return [
        pb.MetadataEntry(label=label, value=metadata_value(value))
        for label, value in sorted(metadata.items())
        if type(value).__name__ not in _INTERNAL_TYPES
    ]


def metadata_value(value: object) -> pb.MetadataValue:
    """Translate one value; what this contract does not know becomes opaque."""
    translate = _TRANSLATIONS.get(type(value).__name__)
    if translate is not None:
        return translate(value)
    return _raw_value(value)


def asset_key(key: Any) -> pb.AssetKey:
    """Translate an asset key."""
    return pb.AssetKey(path=list(key.path))


def _raw_value(value: object) -> pb.MetadataValue:
    """Translate a value that was not wrapped by Dagster, or one whose type is newer than this table."""
    translated = pb.MetadataValue()
    match value:
        case None:
            translated.null = True
        case bool():
            translated.bool = value
        case int() if _INT_MIN <= value <= _INT_MAX:
            translated.int = value
        case int():
            translated.big_int = str(value)
        case float():
            translated.float = value
        case str():
            translated.text = value
        case dict() | list():
            translated.json = json_text(value)
        case _:
            translated.opaque.type_name = type(value).__name__
            translated.opaque.text = str(value)
    return translated


def json_text(value: object) -> str:
    """Write JSON that does not depend on the order in which mappings were filled."""
    return json.dumps(value, sort_keys=True, default=str)


def _number_or_null(value: Any) -> pb.MetadataValue:
    return _raw_value(value.value)


def _job(value: Any) -> pb.MetadataValue:
    reference = pb.JobReference(job_name=value.job_name, location_name=value.location_name)
    return pb.MetadataValue(job=reference)


def _table(value: Any) -> pb.MetadataValue:
    records = [
        pb.TableRecord(cells={name: _raw_value(cell) for name, cell in record.data.items()}) for record in value.records
    ]
    return pb.MetadataValue(table=pb.Table(schema=_schema(value.schema), records=records))


def _schema(schema: Any) -> pb.TableSchema:
    columns = [
        pb.TableColumn(
            name=column.name,
            type=column.type,
            description=column.description or "",
            is_nullable=column.constraints.nullable,
            is_unique=column.constraints.unique,
            other_constraints=list(column.constraints.other),
            tags=dict(column.tags),
        )
        for column in schema.columns
    ]
    return pb.TableSchema(columns=columns, constraints=list(schema.constraints.other))


def _lineage(value: Any) -> pb.MetadataValue:
    deps_by_column = {
        column: pb.ColumnDeps(
            deps=[pb.ColumnDep(asset=asset_key(dep.asset_key), column=dep.column_name) for dep in deps]
        )
        for column, deps in value.value.deps_by_column.items()
    }
    return pb.MetadataValue(column_lineage=pb.ColumnLineage(deps_by_column=deps_by_column))


def _code_references(value: Any) -> pb.MetadataValue:
    references = [
        pb.CodeReference(location=reference.url, label=reference.label or "", is_url=True)
        if hasattr(reference, "url")
        else pb.CodeReference(
            location=reference.file_path, line=reference.line_number or 0, label=reference.label or ""
        )
        for reference in value.code_references
    ]
    return pb.MetadataValue(code_references=pb.CodeReferences(references=references))


def _python_artifact(value: Any) -> pb.MetadataValue:
    return pb.MetadataValue(python_artifact=pb.PythonArtifact(module=value.module, name=value.name))


#: By the class's name: names are the same in every Dagster, the modules are not.
_TRANSLATIONS: Mapping[str, Callable[[Any], pb.MetadataValue]] = {
    "TextMetadataValue": lambda v: pb.MetadataValue(text=v.text or ""),
    "UrlMetadataValue": lambda v: pb.MetadataValue(url=v.url or ""),
    "PathMetadataValue": lambda v: pb.MetadataValue(path=v.path or ""),
    "NotebookMetadataValue": lambda v: pb.MetadataValue(notebook=v.path or ""),
    "JsonMetadataValue": lambda v: pb.MetadataValue(json=json_text(v.data)),
    "MarkdownMetadataValue": lambda v: pb.MetadataValue(markdown=v.md_str or ""),
    "PythonArtifactMetadataValue": _python_artifact,
    "FloatMetadataValue": _number_or_null,
    "IntMetadataValue": _number_or_null,
    "BoolMetadataValue": _number_or_null,
    "TimestampMetadataValue": lambda v: pb.MetadataValue(timestamp=v.value),
    "DagsterRunMetadataValue": lambda v: pb.MetadataValue(run_id=v.run_id),
    "DagsterJobMetadataValue": _job,
    "DagsterAssetMetadataValue": lambda v: pb.MetadataValue(asset=asset_key(v.asset_key)),
    "TableMetadataValue": _table,
    "TableSchemaMetadataValue": lambda v: pb.MetadataValue(table_schema=_schema(v.schema)),
    "TableColumnLineageMetadataValue": _lineage,
    "NullMetadataValue": lambda _: pb.MetadataValue(null=True),
    "CodeReferencesMetadataValue": _code_references,
    "PoolMetadataValue": lambda v: pb.MetadataValue(text=v.name),
}
