"""Run config as a person gives it: a file, JSON text, single values; all of it becomes one JSON document."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isthmus_cli.errors import InputError
from isthmus_cli.file_fault import read_text
from isthmus_cli.yaml_text import parse_yaml

Config = dict[str, Any]

# A dot that no backslash precedes.
_DOT = re.compile(r"(?<!\\)\.")


def read_run_config(*, file: str | None, text: str | None, assignments: Sequence[str]) -> str:
    """Build the run config: `--config`, or `--config-json`, then each `--set` on top.

    Args:
        file: A path to YAML or JSON; "-" for stdin.
        text: JSON text.
        assignments: `path.to.key=value`, the value in YAML.

    Returns:
        JSON text; empty when nothing was given.

    Raises:
        InputError: Names the option and what is wrong with it.
    """
    if file and text:
        raise InputError("--config and --config-json exclude each other.", remedy="Give one of the two.")
    config: Config = {}
    if file:
        config = _parse(_read(file), origin=f"--config {file}")
    elif text:
        config = _parse(text, origin="--config-json")
    for assignment in assignments:
        _assign(config, assignment=assignment)
    return json.dumps(config) if config else ""


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    return read_text(Path(file), remedy="Name a YAML or JSON file, or -.", said=f"--config {file}")


def _parse(text: str, *, origin: str) -> Config:
    config = parse_yaml(text, origin=origin)
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise InputError(f"{origin} is not a mapping.", remedy="Run config starts with keys such as `ops:`.")
    return config


def _assign(config: Config, *, assignment: str) -> None:
    path, separator, value = assignment.partition("=")
    keys = [key.replace("\\.", ".") for key in _DOT.split(path)]
    if not separator or not all(keys):
        raise InputError(f"--set {assignment} is no assignment.", remedy="Write --set ops.load.config.limit=5")
    node = config
    for depth, key in enumerate(keys[:-1]):
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise InputError(
                f"--set {assignment}: {'.'.join(keys[: depth + 1])} is a value already, not a mapping.",
                remedy="Give the whole mapping in --config.",
            )
        node = child
    node[keys[-1]] = parse_yaml(value, origin=f"--set {path}") if value else ""
