"""The OpenAPI document of the calls over HTTP: built beside this file from the contract, and read when it is first asked for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from isthmus_console.errors import NotBuiltError

FILE: Final = Path(__file__).with_name("openapi.json")
_REFERENCE: Final = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message, as a page shows it."""

    name: str
    #: As in `list of string`.
    kind: str
    #: The message or enumeration that it holds; empty where it holds neither.
    holds: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A message or an enumeration."""

    name: str
    meaning: str
    fields: tuple[Field, ...]
    #: Of an enumeration.
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One call."""

    name: str
    path: str
    meaning: str
    takes: str
    gives: str
    is_stream: bool


@cache
def text() -> bytes:
    """Return the document.

    Raises:
        NotBuiltError: It was not built.
    """
    try:
        return FILE.read_bytes()
    except OSError as error:
        raise NotBuiltError(str(FILE.parent)) from error


@cache
def calls() -> Mapping[str, Call]:
    """Return every call, by its name, in the contract's order."""
    found = (_call(path, item["post"]) for path, item in _document()["paths"].items())
    return {call.name: call for call in found}


def kinds_of(call: Call) -> list[Kind]:
    """Return what a call takes and gives, and all that these hold, what is nearest first."""
    schemas = _document()["components"]["schemas"]
    names = {call.takes: None, call.gives: None}
    found: list[Kind] = []
    for name in _growing(names):
        kind = _kind(name, schemas[name])
        names.update(dict.fromkeys(field.holds for field in kind.fields if field.holds))
        found.append(kind)
    return found


def _growing(names: dict[str, None]) -> Iterator[str]:
    """Yield the keys of a mapping that grows while it is read."""
    done = 0
    while done < len(names):
        yield list(names)[done]
        done += 1


@cache
def _document() -> Any:
    return json.loads(text())


def _call(path: str, operation: Mapping[str, Any]) -> Call:
    (media, takes), *_ = operation["requestBody"]["content"].items()
    gives = operation["responses"]["200"]["content"][media]["schema"]
    return Call(
        name=operation["operationId"],
        path=path,
        meaning=operation["summary"],
        takes=_held(takes["schema"]),
        gives=_held(gives),
        is_stream="description" in operation,
    )


def _kind(name: str, schema: Mapping[str, Any]) -> Kind:
    fields = tuple(
        Field(field, _kind_of(value), _held(value), value.get("description", ""))
        for field, value in schema.get("properties", {}).items()
    )
    return Kind(name, schema.get("description", ""), fields, tuple(schema.get("enum", ())))


def _kind_of(schema: Mapping[str, Any]) -> str:
    if "items" in schema:
        return f"list of {_kind_of(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of string to {_kind_of(schema['additionalProperties'])}"
    return _held(schema) or str(schema.get("format", schema.get("type", "")))


def _held(schema: Mapping[str, Any]) -> str:
    inner = schema.get("items", schema.get("additionalProperties", schema))
    return str(inner.get("$ref", "")).removeprefix(_REFERENCE)
