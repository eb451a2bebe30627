"""Dagster's metadata values, one by one, to typed ones."""

from collections.abc import Callable, Mapping
from typing import Any

from isthmus.v1 import telemetry_pb2 as pb

from isthmus_code_server.definitions.dagster.values.encodable import encodable
from isthmus_code_server.definitions.dagster.values.plain import decimal_text, json_text, type_name

#: The integers that the contract's sint64 can hold.
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1

#: A table has so many rows at the most; how many were left out is told with it.
MAX_RECORDS = 20_000

#: Metadata that Dagster writes for itself and that means nothing outside of it.
_INTERNAL_TYPES = frozenset({"CodeLocationReconstructionMetadataValue"})


def metadata_entries(metadata: Mapping[str, Any] | None) -> list[pb.MetadataEntry]:
    """Translate a metadata mapping, raw values included, sorted by label."""
    if not metadata:
        return []
    return [
        pb.MetadataEntry(label=encodable(label), value=metadata_value(value))
        for label, value in sorted(metadata.items())
        if type(value).__name__ not in _INTERNAL_TYPES
    ]


def metadata_value(value: object) -> pb.MetadataValue:
    """Translate one value; what this contract does not know leaves as the name of its type, and as nothing else."""
    translate = _TRANSLATIONS.get(type(value).__name__, _raw_value)
    try:
        return translate(value)
    except UnicodeEncodeError:
        raise
    except Exception:  # noqa: BLE001  # the value is the user's: one that cannot be told must not cost the event
        return pb.MetadataValue(opaque=pb.OpaqueValue(type_name=type_name(value)))


def asset_key(key: Any) -> pb.AssetKey:
    """Translate an asset key."""
    return pb.AssetKey(path=list(key.path))


def check_key(key: Any) -> pb.AssetCheckKey:
    """Translate a check's key."""
    return pb.AssetCheckKey(asset=asset_key(key.asset_key), check_name=key.name)


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
            _set_big_int(translated, value)
        case float():
            translated.float = value
        case dict() | list():
            translated.json = json_text(value)
        case _ if type(value) is str:
            translated.text = encodable(value)
        case _:
            # Also a text of a class of its own: what it holds may be what the class is there to hide.
            translated.opaque.type_name = type_name(value)
    return translated


def _set_big_int(translated: pb.MetadataValue, value: int) -> None:
    text = decimal_text(value)
    if text.startswith("<"):
        translated.text = text
    else:
        translated.big_int = text


def _number_or_null(value: Any) -> pb.MetadataValue:
    return _raw_value(value.value)


def _job(value: Any) -> pb.MetadataValue:
    reference = pb.JobReference(
        job_name=value.job_name, location_name=value.location_name, repository_name=value.repository_name or ""
    )
    return pb.MetadataValue(job=reference)


def _table(value: Any) -> pb.MetadataValue:
    records = [
        pb.TableRecord(cells={name: _raw_value(cell) for name, cell in record.data.items()})
        for record in value.records[:MAX_RECORDS]
    ]
    left_out = len(value.records) - len(records)
    return pb.MetadataValue(table=pb.Table(schema=_schema(value.schema), records=records, records_left_out=left_out))


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


def _lineage(lineage: Any) -> pb.MetadataValue:
    deps_by_column = {
        column: pb.ColumnDeps(
            deps=[pb.ColumnDep(asset=asset_key(dep.asset_key), column=dep.column_name) for dep in deps]
        )
        for column, deps in lineage.deps_by_column.items()
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
    "TextMetadataValue": lambda v: pb.MetadataValue(text=encodable(v.text or "")),
    "UrlMetadataValue": lambda v: pb.MetadataValue(url=encodable(v.url or "")),
    "PathMetadataValue": lambda v: pb.MetadataValue(path=encodable(v.path or "")),
    "NotebookMetadataValue": lambda v: pb.MetadataValue(notebook=encodable(v.path or "")),
    "JsonMetadataValue": lambda v: pb.MetadataValue(json=json_text(v.data)),
    "MarkdownMetadataValue": lambda v: pb.MetadataValue(markdown=encodable(v.md_str or "")),
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
    "TableColumnLineageMetadataValue": lambda v: _lineage(v.value),
    # The object itself is for the process that made it.
    "ObjectMetadataValue": lambda v: pb.MetadataValue(opaque=pb.OpaqueValue(type_name=v.class_name)),
    "NullMetadataValue": lambda _: pb.MetadataValue(null=True),
    "CodeReferencesMetadataValue": _code_references,
    "PoolMetadataValue": lambda v: pb.MetadataValue(text=v.name),
    # What Dagster knows without being told: metadata of definitions has these as they are.
    "AssetKey": lambda v: pb.MetadataValue(asset=asset_key(v)),
    "TableSchema": lambda v: pb.MetadataValue(table_schema=_schema(v)),
    "TableColumnLineage": _lineage,
    "PosixPath": lambda v: pb.MetadataValue(path=encodable(str(v))),
    "PurePosixPath": lambda v: pb.MetadataValue(path=encodable(str(v))),
    "PureWindowsPath": lambda v: pb.MetadataValue(path=encodable(str(v))),
}
