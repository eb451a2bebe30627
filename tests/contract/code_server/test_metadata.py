"""Metadata values are told one by one, each as what it is."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.definitions.dagster.values.metadata import metadata_entries, metadata_value

Value = dg.MetadataValue
SCHEMA = dg.TableSchema(
    columns=[
        dg.TableColumn(
            "id", "int", description="Key.", constraints=dg.TableColumnConstraints(nullable=False, unique=True)
        ),
        dg.TableColumn("name", "string", tags={"pii": ""}),
    ],
    constraints=dg.TableConstraints(other=["id > 0"]),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Value.text("a"), pb.MetadataValue(text="a")),
        (Value.url("u"), pb.MetadataValue(url="u")),
        (Value.path("p"), pb.MetadataValue(path="p")),
        (Value.notebook("n"), pb.MetadataValue(notebook="n")),
        (Value.json({"b": 1, "a": [None]}), pb.MetadataValue(json='{"a": [null], "b": 1}')),
        (Value.md("*m*"), pb.MetadataValue(markdown="*m*")),
        (Value.float(1.5), pb.MetadataValue(float=1.5)),
        (Value.int(-7), pb.MetadataValue(int=-7)),
        (Value.int(2**63 - 1), pb.MetadataValue(int=2**63 - 1)),
        (Value.int(2**63), pb.MetadataValue(big_int=str(2**63))),
        (Value.int(-(2**63) - 1), pb.MetadataValue(big_int=str(-(2**63) - 1))),
        (Value.bool(False), pb.MetadataValue(bool=False)),
        (Value.null(), pb.MetadataValue(null=True)),
        (Value.timestamp(datetime(2024, 1, 1, tzinfo=UTC)), pb.MetadataValue(timestamp=1704067200)),
        (Value.dagster_run("r"), pb.MetadataValue(run_id="r")),
        (Value.asset(dg.AssetKey(["a", "b"])), pb.MetadataValue(asset=pb.AssetKey(path=["a", "b"]))),
        (
            Value.job("j", "here"),
            pb.MetadataValue(job=pb.JobReference(job_name="j", location_name="here")),
        ),
        (
            Value.job("j", "here", repository_name="finance"),
            pb.MetadataValue(job=pb.JobReference(job_name="j", location_name="here", repository_name="finance")),
        ),
        (
            Value.python_artifact(pytest.Item),
            pb.MetadataValue(python_artifact=pb.PythonArtifact(module="_pytest.nodes", name="Item")),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_values(value: dg.MetadataValue, expected: pb.MetadataValue) -> None:
    assert metadata_value(value) == expected


@pytest.mark.parametrize(
    "raw",
    [
        dg.AssetKey(["a", "b"]),
        SCHEMA,
        dg.TableColumnLineage({"id": [dg.TableColumnDep(asset_key=dg.AssetKey("raw"), column_name="key")]}),
        Path("some/where.txt"),
        None,
        {"plain": [1]},
    ],
    ids=lambda raw: type(raw).__name__,
)
def test_what_dagster_knows_without_a_wrapper_is_told_as_that(raw: object) -> None:
    (entry,) = metadata_entries({"x": raw})
    # As Dagster itself normalizes what an asset's definition holds.
    normalized = dg.AssetMaterialization("a", metadata={"x": raw}).metadata["x"]  # type: ignore[dict-item]
    assert entry.value == metadata_value(normalized)
    assert entry.value.WhichOneof("value") != "opaque"


def test_a_table_with_its_schema() -> None:
    value = Value.table([dg.TableRecord({"id": 1, "name": None})], schema=SCHEMA)
    table = metadata_value(value).table
    assert table.records[0].cells["id"].int == 1
    assert table.records[0].cells["name"].null
    assert table.schema == metadata_value(Value.table_schema(SCHEMA)).table_schema
    column = table.schema.columns[0]
    assert (column.name, column.type, column.description) == ("id", "int", "Key.")
    assert (column.is_nullable, column.is_unique) == (False, True)
    assert dict(table.schema.columns[1].tags) == {"pii": ""}
    assert list(table.schema.constraints) == ["id > 0"]


def test_column_lineage() -> None:
    lineage = dg.TableColumnLineage({"total": [dg.TableColumnDep(asset_key="orders", column_name="amount")]})
    deps = metadata_value(Value.column_lineage(lineage)).column_lineage.deps_by_column["total"].deps
    assert [("/".join(dep.asset.path), dep.column) for dep in deps] == [("orders", "amount")]


def test_code_references() -> None:
    value = dg.CodeReferencesMetadataValue(
        code_references=[
            dg.LocalFileCodeReference(file_path="/a.py", line_number=3, label="here"),
            dg.UrlCodeReference(url="https://example.com/a.py"),
        ]
    )
    local, remote = metadata_value(value).code_references.references
    assert (local.location, local.line, local.label, local.is_url) == ("/a.py", 3, "here", False)
    assert (remote.location, remote.is_url) == ("https://example.com/a.py", True)


class Unheard:
    def __str__(self) -> str:
        return "of"


def test_what_the_contract_does_not_know_is_opaque() -> None:
    assert metadata_value(Unheard()).opaque == pb.OpaqueValue(type_name="Unheard")


def test_entries_are_sorted_by_label() -> None:
    assert [entry.label for entry in metadata_entries({"b": 1, "a": 2})] == ["a", "b"]
    assert metadata_entries(None) == []
