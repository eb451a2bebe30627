"""Metadata of events as pages show it, each value by its type. Pure.

Texts stay texts: what looks like markup in them is shown as it was written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from isthmus.v1.telemetry_pb2 import MetadataEntry, MetadataValue, Table, TableSchema
from isthmus_client.words.value import count_text, value_text

from isthmus_console.view.document import indented

#: Rows of a table that are shown.
_MOST_ROWS: Final = 100
#: What a link may begin with: a browser would execute others.
_LINKED: Final = ("https://", "http://")


@dataclass(frozen=True, kw_only=True)
class MetadataView:
    """One value: as text, and as a link or a table where it is one."""

    label: str
    kind: str
    text: str = ""
    href: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def metadata_views(entries: Iterable[MetadataEntry]) -> list[MetadataView]:
    """Return the values in their order."""
    return [_view(entry.label, entry.value) for entry in entries]


def _view(label: str, value: MetadataValue) -> MetadataView:
    kind = value.WhichOneof("value") or "null"
    match kind:
        case "table":
            return _table(label, value.table)
        case "table_schema":
            return _schema(label, value.table_schema)
        case _:
            return MetadataView(label=label, kind=kind, text=_text(kind, value), href=_href(kind, value))


def _text(kind: str, value: MetadataValue) -> str:
    match kind:
        case "json":
            return indented(value.json)
        case "timestamp":
            return _utc_text(value.timestamp)
        case _:
            return value_text(value)


def _href(kind: str, value: MetadataValue) -> str:
    match kind:
        case "url" if value.url.lower().startswith(_LINKED):
            return value.url
        case "run_id":
            return f"/runs/{quote(value.run_id, safe='')}"
        case _:
            return ""


def _table(label: str, table: Table) -> MetadataView:
    head = [column.name for column in table.schema.columns]
    head = head or list(dict.fromkeys(name for record in table.records for name in sorted(record.cells)))
    rows = [
        [value_text(record.cells[name]) if name in record.cells else "" for name in head]
        for record in table.records[:_MOST_ROWS]
    ]
    left_out = len(table.records) - len(rows) + table.records_left_out
    text = f"and {count_text(left_out, 'more row')}" if left_out else ""
    return MetadataView(label=label, kind="table", text=text, head=head, rows=rows)


def _schema(label: str, schema: TableSchema) -> MetadataView:
    rows = [
        [column.name, column.type, "" if column.is_nullable else "not null", column.description]
        for column in schema.columns
    ]
    head = ("column", "type", "constraint", "description")
    return MetadataView(label=label, kind="table_schema", head=head, rows=rows)


def _utc_text(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.15g}"
