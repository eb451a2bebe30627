"""What a project's file says once for many places: variables of the environment, and defaults of its locations."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from isthmus_cli.errors import InputError

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_REMEDY: Final = "Set it, or take it off `variables:`; docs/deploy.md has the form."


def filled_in(content: Any, *, environment: Mapping[str, str], origin: str) -> Any:
    """Return a file's content with its variables and defaults where they belong, and neither of the two sections.

    Only what `variables:` names is looked for: any other `${NAME}` is a text like others.

    Raises:
        InputError: A variable is not set, or one of the sections has another form.
    """
    if not isinstance(content, Mapping):
        return content
    names = content.get("variables", [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise InputError(f"{origin} cannot be used:\n  variables: give a list of names", remedy=_REMEDY)
    missing = [name for name in names if name not in environment]
    if missing:
        faults = [f"  variables: {name} is not set in the environment" for name in missing]
        raise InputError("\n".join([f"{origin} cannot be used:", *faults]), remedy=_REMEDY)
    values = {name: environment[name] for name in names}
    said = {key: _with_values(part, values) for key, part in content.items() if key != "variables"}
    defaults = said.pop("defaults", {})
    if not isinstance(defaults, Mapping):
        raise InputError(f"{origin} cannot be used:\n  defaults: give fields of a location", remedy=_REMEDY)
    if defaults and isinstance(said.get("locations"), list):
        said["locations"] = [_merged(defaults, entry) for entry in said["locations"]]
    return said


def _with_values(part: Any, values: Mapping[str, str]) -> Any:
    if isinstance(part, str):
        return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), part)
    if isinstance(part, list):
        return [_with_values(it, values) for it in part]
    if isinstance(part, Mapping):
        return {key: _with_values(it, values) for key, it in part.items()}
    return part


def _merged(defaults: Mapping[Any, Any], entry: Any) -> Any:
    """Return an entry over the defaults: maps are merged, anything else that it says replaces theirs."""
    if not isinstance(entry, Mapping):
        return entry
    return dict(_merged_fields(defaults, entry))


def _merged_fields(defaults: Mapping[Any, Any], entry: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key in (*defaults, *(it for it in entry if it not in defaults)):
        both = key in defaults and key in entry
        if both and isinstance(defaults[key], Mapping) and isinstance(entry[key], Mapping):
            yield key, _merged(defaults[key], entry[key])
        else:
            yield key, entry.get(key, defaults.get(key))
