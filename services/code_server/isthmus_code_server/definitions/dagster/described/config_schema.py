"""Dagster's config schemas as trees of ConfigField."""

from collections.abc import Mapping
from typing import Any

from isthmus.v1.telemetry_pb2 import ConfigField

from isthmus_code_server.definitions.dagster.values.plain import json_text

#: A schema nested deeper than this ends in "any".
MAX_DEPTH = 40

_KINDS: Mapping[str, str] = {
    "ANY": "any",
    "SCALAR": "scalar",
    "SCALAR_UNION": "scalar",
    "ENUM": "enum",
    "SELECTOR": "selector",
    "STRICT_SHAPE": "shape",
    "PERMISSIVE_SHAPE": "permissive",
    "ARRAY": "array",
    "MAP": "map",
    "NONEABLE": "noneable",
}


def config_field(field: Any, *, name: str, has_defaults: bool = True, depth: int = 0) -> ConfigField:
    """Describe a field of a schema and everything below it.

    Args:
        field: Dagster's Field.
        name: What it is called in its parent.
        has_defaults: Whether default values are told. Those of resources are not: they may be credentials.
        depth: How deep in the tree the field is.
    """
    described = ConfigField(name=name, is_required=field.is_required, description=field.description or "")
    if has_defaults and field.default_provided:
        described.default_json = json_text(field.default_value)
    _describe_type(described, field.config_type, has_defaults=has_defaults, depth=depth)
    return described


def _describe_type(described: ConfigField, config_type: Any, *, has_defaults: bool, depth: int) -> None:
    if depth >= MAX_DEPTH:
        described.kind = "any"
        return
    described.kind = _KINDS.get(config_type.kind.name, "any")
    described.type_name = config_type.given_name or (config_type.key if described.kind == "scalar" else "")
    if not described.description:
        described.description = config_type.description or ""
    if described.kind == "enum":
        names = sorted(value.config_value for value in config_type.enum_values)
        described.fields.extend(ConfigField(name=name, kind="scalar") for name in names)
    for name, inner in sorted(getattr(config_type, "fields", {}).items()):
        is_told = has_defaults and name != "resources"
        described.fields.append(config_field(inner, name=name, has_defaults=is_told, depth=depth + 1))
    inner_type = getattr(config_type, "inner_type", None)
    if inner_type is not None:
        item = ConfigField(name=getattr(config_type, "key_label_name", None) or "")
        _describe_type(item, inner_type, has_defaults=has_defaults, depth=depth + 1)
        described.fields.append(item)


def config_of_type(config_type: Any, *, name: str, has_defaults: bool = True) -> ConfigField:
    """Describe a whole config type."""
    described = ConfigField(name=name)
    _describe_type(described, config_type, has_defaults=has_defaults, depth=0)
    return described
