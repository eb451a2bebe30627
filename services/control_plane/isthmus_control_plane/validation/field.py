"""Checks of single fields, shared by all requests."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from isthmus_broker.topology import NAME_PATTERN

from isthmus_control_plane.errors import Violation

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The longest of a text that a person writes, such as a name or a message, characters.
MAX_TEXT: Final = 1024
#: The longest key of an environment or a label.
NAME_CHARS: Final = 255
_SHOWN: Final = 40
#: How many objects and lists may lie within each other in a document: code servers, and what reads them, recurse.
_MAX_DEPTH: Final = 100


def name(value: str, *, field: str) -> list[Violation]:
    """Check a deployment's, agent's, pool's or location's name; an empty one is a fault."""
    if not value:
        return [Violation(field, "is missing")]
    if NAME_PATTERN.fullmatch(value):
        return []
    rule = "must be 1 to 63 characters of a-z, 0-9, '-' and '_', with a letter or digit at both ends"
    slug = re.sub(r"[^a-z0-9_-]+", "-", value.lower())[:63].strip("-_")
    hint = f"; try {slug!r}" if NAME_PATTERN.fullmatch(slug) else ""
    return [Violation(field, f"{rule}; got {shown(value)}{hint}")]


def optional_name(value: str, *, field: str) -> list[Violation]:
    """Check a name that has a default."""
    return name(value, field=field) if value else []


def place(*, deployment: str, name: str) -> list[Violation]:
    """Check what names one agent or location; the deployment has a default."""
    missing = [] if name else [Violation("name", "is missing")]
    return [*optional_name(deployment, field="deployment"), *missing, *optional_name(name, field="name")]


def run_id(value: str, *, field: str = "run_id") -> list[Violation]:
    """Check the id of a run that must exist; letters may be capitals."""
    if not value:
        return [Violation(field, "is missing")]
    if _UUID.fullmatch(value.lower()) and str(UUID(value)) == value.lower():
        return []
    return [Violation(field, f"must be a UUID such as 6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11; got {shown(value)}")]


def text(value: str, *, field: str, max_chars: int) -> list[Violation]:
    """Check a free text's length, and that it has no NUL, which PostgreSQL cannot store."""
    if "\0" in value:
        return [Violation(field, "must not contain NUL characters")]
    if len(value) > max_chars:
        return [Violation(field, f"must have at most {max_chars:,} characters; has {len(value):,}")]
    return []


def count(number: int, *, field: str, most: int) -> list[Violation]:
    """Check how many entries a list or map has."""
    return [Violation(field, f"must have at most {most:,} entries; has {number:,}")] if number > most else []


def page_size(number: int, *, most: int) -> list[Violation]:
    """Check how many entries a page is to have; 0 stands for the default."""
    return [Violation("page_size", f"must be 1 to {most:,}; got {number:,}")] if number > most else []


def seconds(value: float, *, field: str, most: float) -> list[Violation]:
    """Check a duration; 0 stands for the default."""
    if math.isfinite(value) and 0 <= value <= most:
        return []
    return [Violation(field, f"must be 0 (the default) to {most:g} seconds; got {value:g}")]


def pairs(entries: Mapping[str, str], *, field: str, most: int, max_key: int, max_value: int) -> list[Violation]:
    """Check a map of texts: its size, keys and values."""
    violations = count(len(entries), field=field, most=most)
    for key, value in entries.items() if not violations else ():
        if not key:
            violations.append(Violation(field, "has an empty key"))
        violations += text(key, field=f"{field}.{shown(key)}", max_chars=max_key)
        violations += text(value, field=f"{field}.{key}", max_chars=max_value)
    return violations


def texts(values: Iterable[str], *, field: str, most: int, max_chars: int) -> list[Violation]:
    """Check a list of texts, of which none may be empty."""
    listed = list(values)
    violations = count(len(listed), field=field, most=most)
    for index, value in enumerate(listed if not violations else ()):
        if not value:
            violations.append(Violation(f"{field}[{index}]", "is empty"))
        violations += text(value, field=f"{field}[{index}]", max_chars=max_chars)
    return violations


def json_object(value: str, *, field: str, max_bytes: int) -> list[Violation]:
    """Check that a text is empty or a JSON object."""
    size = len(value.encode(errors="surrogatepass"))
    if size > max_bytes:
        return [Violation(field, f"must have at most {max_bytes:,} bytes; has {size:,}. Pass large data by reference.")]
    fault = _json_fault(value) if value.strip() else None
    return [Violation(field, fault)] if fault else []


def _json_fault(value: str) -> str | None:
    try:
        document = json.loads(value, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"is not JSON: {error}"
    if not isinstance(document, dict):
        return f"must be a JSON object; is a {type(document).__name__}"
    return "is nested too deeply" if _is_deeper(document, than=_MAX_DEPTH) else None


def _is_deeper(document: object, *, than: int) -> bool:
    """Tell whether objects and lists lie more than so many levels within each other."""
    level: list[object] = [document]
    for _ in range(than):
        level = [inner for one in level for inner in _inner(one)]
        if not level:
            return False
    return True


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def shown(value: str) -> str:
    """Quote a caller's text for a message, cut to a readable length."""
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}… ({len(value):,} characters)"


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON value")
