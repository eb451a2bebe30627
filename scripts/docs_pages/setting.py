"""The settings of every process, as their classes tell them: the comments `#:` above the fields are their meanings."""

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ByteSize, HttpUrl, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

#: What a value's type is called, and how it is written. Of several that fit, the first.
_TYPES: dict[type, str] = {
    bool: "`true` or `false`",
    ByteSize: "size, as in `512MB` or `2GiB`",
    int: "whole number",
    float: "number",
    SecretStr: "text, a secret",
    HttpUrl: "address",
    str: "text",
    Path: "path",
}
#: Units by the ends of names.
_UNITS = {"_s": "seconds", "_days": "days", "_bytes": "bytes"}
_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}


@dataclass(frozen=True)
class Setting:
    """One setting, for people."""

    name: str
    kind: str
    #: None where it must be set.
    default: str | None
    meaning: str


def settings_of(model: type[BaseModel]) -> Iterator[Setting]:
    """Return the settings of a class, in the order of its fields: by their variables, if it reads the environment."""
    meanings = _meanings(model)
    prefix = model.model_config.get("env_prefix")
    for name, field in model.model_fields.items():
        yield Setting(
            name=name if prefix is None else _variable(name, field, prefix=str(prefix)),
            kind=_kind(name, field),
            default=None if field.is_required() else _default(field),
            meaning=meanings.get(name, ""),
        )


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    found: dict[str, str] = {}
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel) and owner.model_fields:
            found |= _comments(owner)
    return found


def _comments(owner: type) -> dict[str, str]:
    source = textwrap.dedent(inspect.getsource(owner))
    lines = source.splitlines()
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = node.lineno - 2
            said: list[str] = []
            while lines[above].strip().startswith("#:"):
                said.insert(0, lines[above].strip().removeprefix("#:").strip())
                above -= 1
            found[node.target.id] = " ".join(said)
    return found


def _variable(name: str, field: FieldInfo, *, prefix: str) -> str:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return next((one for one in choices if isinstance(one, str) and one.isupper()), f"{prefix}{name.upper()}")


def _kind(name: str, field: FieldInfo) -> str:
    said = _type_name(field.annotation)
    unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), "")
    bounds = [text.format(limit) for one in field.metadata for text, limit in _bounds(one)]
    if said in {"number", "whole number"} and unit:
        said = unit
    return ", ".join([said, *bounds])


def _bounds(constraint: Any) -> Iterator[tuple[str, str]]:
    for name, text in _BOUNDS.items():
        limit = getattr(constraint, name, None)
        if isinstance(limit, int | float):
            yield text, f"{limit:,.0f}".replace(",", " ") if limit == int(limit) else str(limit)


def _type_name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin in {Union, types.UnionType}:
        return " or ".join(_type_name(one) for one in arguments if one is not type(None))
    if origin is Literal:
        return " or ".join(f"`{one}`" if one else "empty" for one in arguments)
    if origin is not None:
        return "table of names and values" if origin is dict else f"list of {_type_name(arguments[0])}"
    return _plain_name(kind)


def _plain_name(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"[{_words(kind)}](#{_words(kind).replace(' ', '-')})"
    return next((name for one, name in _TYPES.items() if isinstance(kind, type) and issubclass(kind, one)), "text")


def _words(model: type) -> str:
    """Return a class's name as words: the heading under which its fields stand."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in model.__name__).strip()


def heading(model: type[BaseModel]) -> str:
    """Return the heading of a class that others refer to."""
    return _words(model).capitalize()


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is PydanticUndefined or value is None or isinstance(value, BaseModel) or value in ("", (), [], {}):
        return ""
    if isinstance(value, frozenset):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) and value < 1e6 else f"`{value}`"  # noqa: PLR2004 - g rounds above
