"""Typed metadata values back to Dagster's: what `metadata` does, the other way round."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dagster import (
    AssetKey,
    CodeReferencesMetadataValue,
    LocalFileCodeReference,
    MetadataValue,
    PythonArtifactMetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableColumnDep,
    TableColumnLineage,
    TableConstraints,
    TableRecord,
    TableSchema,
    UrlCodeReference,
)
from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.values.plain import decimal_value


def metadata_of(entries: Iterable[pb.MetadataEntry]) -> dict[str, Any]:
    """Rebuild a mapping of metadata."""
    return {entry.label: value_of(entry.value) for entry in entries}


def value_of(value: pb.MetadataValue) -> Any:
    """Rebuild one value; what Dagster never had, or the contract could not carry, becomes text."""
    kind = value.WhichOneof("value")
    return _REBUILDERS[kind](getattr(value, kind)) if kind is not None else MetadataValue.null()


def key_of(asset: pb.AssetKey) -> AssetKey:
    """Rebuild an asset's key."""
    return AssetKey(list(asset.path))


def _job(job: pb.JobReference) -> Any:
    return MetadataValue.job(job.job_name, location_name=job.location_name, repository_name=job.repository_name or None)


def _table(table: pb.Table) -> Any:
    records = [TableRecord({name: _cell(cell) for name, cell in record.cells.items()}) for record in table.records]
    return MetadataValue.table(records, schema=_schema(table.schema))


def _cell(value: pb.MetadataValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, str(kind)) if kind in ("text", "int", "float", "bool") else None


def _schema(schema: pb.TableSchema) -> TableSchema:
    columns = [
        TableColumn(
            name=column.name,
            type=column.type,
            description=column.description or None,
            constraints=TableColumnConstraints(
                nullable=column.is_nullable, unique=column.is_unique, other=list(column.other_constraints)
            ),
            tags=dict(column.tags),
        )
        for column in schema.columns
    ]
    return TableSchema(columns=columns, constraints=TableConstraints(other=list(schema.constraints)))


def _lineage(lineage: pb.ColumnLineage) -> Any:
    deps = {
        column: [TableColumnDep(asset_key=key_of(dep.asset), column_name=dep.column) for dep in deps.deps]
        for column, deps in lineage.deps_by_column.items()
    }
    return MetadataValue.column_lineage(TableColumnLineage(deps))


def _code_references(references: pb.CodeReferences) -> Any:
    rebuilt: list[Any] = [
        UrlCodeReference(url=it.location, label=it.label or None)
        if it.is_url
        else LocalFileCodeReference(file_path=it.location, line_number=it.line or None, label=it.label or None)
        for it in references.references
    ]
    return CodeReferencesMetadataValue(code_references=rebuilt)


_REBUILDERS: Mapping[str, Callable[[Any], Any]] = {
    "text": MetadataValue.text,
    "url": MetadataValue.url,
    "path": MetadataValue.path,
    "notebook": MetadataValue.notebook,
    "json": lambda text: MetadataValue.json(json.loads(text)),
    "markdown": MetadataValue.md,
    "python_artifact": lambda it: PythonArtifactMetadataValue(module=it.module, name=it.name),
    "float": MetadataValue.float,
    "int": MetadataValue.int,
    "big_int": lambda text: MetadataValue.int(decimal_value(text)),
    "bool": MetadataValue.bool,
    "timestamp": MetadataValue.timestamp,
    "run_id": MetadataValue.dagster_run,
    "asset": lambda asset: MetadataValue.asset(key_of(asset)),
    "job": _job,
    "table": _table,
    "table_schema": lambda schema: MetadataValue.table_schema(_schema(schema)),
    "column_lineage": _lineage,
    "null": lambda _: MetadataValue.null(),
    "opaque": lambda it: MetadataValue.text(it.text or it.type_name),
    "code_references": _code_references,
}
