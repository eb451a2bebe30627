"""YAML and JSON text into JSON's own types."""

import json
from typing import Any

import yaml  # type: ignore[import-untyped]

from isthmus_cli.errors import InputError


class _JsonLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Knows JSON's types alone: a date stays the text that was written."""


_JsonLoader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, *, origin: str) -> Any:
    """Parse YAML or JSON.

    Raises:
        InputError: Names the origin, line and column.
    """
    # JSON first: it is the faster parser, and YAML is not quite a superset.
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return yaml.load(text, Loader=_JsonLoader)  # noqa: S506 - derived from SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(f"{origin}{where}: {problem}.", remedy="Give YAML or JSON.") from error
